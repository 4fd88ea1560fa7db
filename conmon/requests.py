"""What a client may ask of the zygote, read from messages by typed getters. Pure.

Every field has a default unless the comment says "required", as ``protocol``'s compatibility rule wants it. The
client's side of the same fields is ``records``; a test holds the two together. Plain classes, since ``dataclasses``
and ``typing`` are beyond the import budget (see ``zygote``).
"""

from __future__ import annotations

from conmon.protocol import Message, ProtocolError


def text(message: Message, field: str, default: str | None = "") -> str:
    """The string in *field*; with default None the field is required. Raises ProtocolError naming the field."""
    value = message.get(field, default)
    if not isinstance(value, str) or "\0" in value:
        raise ProtocolError(f"field {field!r} must be a string without NUL, not {value!r:.100}")
    return value


def name(message: Message, field: str) -> str:
    """A required string that is safe as a part of a file name (no slash, not hidden, at most 128 characters)."""
    value = text(message, field, None)
    if not value or "/" in value or value.startswith(".") or len(value) > 128:
        raise ProtocolError(f"field {field!r} must be a name of 1 to 128 characters without slash, not {value!r:.150}")
    return value


def path(message: Message, field: str, default: str | None = "") -> str:
    """An absolute path, or "" when *default* allows it to be absent."""
    value = text(message, field, default)
    if not value.startswith("/") and (value or default is None):
        raise ProtocolError(f"field {field!r} must be an absolute path, not {value!r:.150}")
    return value


def flag(message: Message, field: str) -> bool:
    """A boolean, false when absent."""
    value = message.get(field, False)
    if not isinstance(value, bool):
        raise ProtocolError(f"field {field!r} must be true or false, not {value!r:.100}")
    return value


def number(message: Message, field: str, default: int) -> int:
    """An integer."""
    value = message.get(field, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(f"field {field!r} must be an integer, not {value!r:.100}")
    return value


def optional_number(message: Message, field: str) -> int | None:
    """An integer, or None when the field is absent or null."""
    return None if message.get(field) is None else number(message, field, 0)


def texts(message: Message, field: str) -> list[str]:
    """A list of strings, empty when absent."""
    value = message.get(field, [])
    if not isinstance(value, list):
        raise ProtocolError(f"field {field!r} must be a list of strings, not {value!r:.100}")
    return [text({field: item}, field, None) for item in value]


def argv(message: Message, field: str) -> list[str]:
    """A required, non-empty list of strings whose first is an absolute path."""
    value = texts(message, field)
    if not value or not value[0].startswith("/"):
        raise ProtocolError(f"field {field!r} must begin with the absolute path of a program, not {value!r:.150}")
    return value


class ContainerRequest:
    """A CONTAINER packet: fork a monitor that creates this container. See ``records.ContainerSpec`` for each field."""

    def __init__(self, message: Message) -> None:
        self.id = name(message, "id")  # required
        self.directory = path(message, "directory", None)  # required
        self.bundle = path(message, "bundle", None)  # required
        self.runtime = argv(message, "runtime")  # required
        self.create_flags = texts(message, "create_flags")
        self.systemd_cgroup = flag(message, "systemd_cgroup")
        self.log_path = path(message, "log_path")
        self.terminal = flag(message, "terminal")
        self.stdin = flag(message, "stdin")
        self.stdin_once = flag(message, "stdin_once")
        self.stdio_uid = number(message, "stdio_uid", -1)
        self.stdio_gid = number(message, "stdio_gid", -1)
        self.oom_score_adj = optional_number(message, "oom_score_adj")
        self.exit_path = path(message, "exit_path") or f"{self.directory}/exit.json"


class ExecRequest:
    """``op: exec``: fork a session that runs one more process in a container. See ``records.ExecSpec``."""

    def __init__(self, message: Message) -> None:
        self.id = name(message, "id")  # required
        self.exec_id = name(message, "exec_id")  # required
        self.directory = path(message, "directory", None)  # required
        self.runtime = argv(message, "runtime")  # required
        self.process = path(message, "process", None)  # required
        self.exec_flags = texts(message, "exec_flags")
        self.systemd_cgroup = flag(message, "systemd_cgroup")
        self.terminal = flag(message, "terminal")
        self.umask = optional_number(message, "umask")
        self.cgroup_procs = [path({"cgroup_procs": item}, "cgroup_procs") for item in texts(message, "cgroup_procs")]


class PodInitRequest:
    """``op: podinit``: fork PID 1 of a new PID namespace. See ``records.PodInitSpec``."""

    def __init__(self, message: Message) -> None:
        self.id = name(message, "id")  # required
        self.net = path(message, "net")
        self.ipc = path(message, "ipc")
        self.uts = path(message, "uts")
        self.user = path(message, "user")
        self.cgroup_procs = [path({"cgroup_procs": item}, "cgroup_procs") for item in texts(message, "cgroup_procs")]
        self.oom_score_adj = optional_number(message, "oom_score_adj")


class UserNamespaceRequest:
    """``op: userns``: make a user namespace and namespaces that it owns. See ``records.UserNamespaceSpec``."""

    def __init__(self, message: Message) -> None:
        self.id = name(message, "id")  # required
        self.uid_map = text(message, "uid_map", None)  # required
        self.gid_map = text(message, "gid_map", None)  # required
        self.kinds = texts(message, "kinds")
        if unknown := [kind for kind in self.kinds if kind not in ("net", "ipc", "uts")]:
            raise ProtocolError(f"field 'kinds' must hold net, ipc or uts, not {unknown!r:.100}")
        self.sysctls = texts(message, "sysctls")


class AttachRequest:
    """``op: attach`` to a monitor: this connection becomes a stream. See ``client.Attach``."""

    def __init__(self, message: Message) -> None:
        self.stdin = flag(message, "stdin")
        self.stdout = flag(message, "stdout")
        self.stderr = flag(message, "stderr")
