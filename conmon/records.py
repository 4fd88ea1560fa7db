"""What a client asks for and what it is told, as frozen dataclasses. Pure; the client's half of ``requests``.

Never imported by the zygote's half (``dataclasses`` is beyond its import budget).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from conmon import exitrecord, files


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container to create."""

    id: str
    #: Private directory (0700, made by the caller) for the monitor's files; one container's alone.
    directory: str
    #: OCI bundle: config.json and rootfs.
    bundle: str
    #: Runtime with its global flags, the program's path absolute: ("/usr/sbin/runc", "--root", "/run/x").
    runtime: tuple[str, ...]
    #: Further flags of ``create``, such as ("--no-pivot",).
    create_flags: tuple[str, ...] = ()
    #: Let the runtime use systemd's cgroup driver (--systemd-cgroup).
    systemd_cgroup: bool = False
    #: CRI log file, absolute; its directory must exist. "": no log.
    log_path: str = ""
    #: config.json says process.terminal; then stderr is stdout.
    terminal: bool = False
    #: Give the container a stdin, and keep early output for the first client that attaches.
    stdin: bool = False
    #: Close that stdin when the first client that feeds it has left.
    stdin_once: bool = False
    #: Owner of the stdio pipes, so that the container's user can open /proc/self/fd/1; -1: root.
    stdio_uid: int = -1
    stdio_gid: int = -1
    #: The monitor's own; None: as the zygote's.
    oom_score_adj: int | None = None
    #: Where the exit record goes; "": exit.json in *directory*.
    exit_path: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """One more process in a running container."""

    id: str
    #: Unique among the container's execs while it runs; part of temporary file names.
    exec_id: str
    #: Directory for temporary files: the container's will do.
    directory: str
    runtime: tuple[str, ...]
    #: OCI process object in a JSON file, absolute. Its terminal field must be the same as *terminal*.
    process: str
    #: Further flags of ``exec``, such as ("--cgroup", "exec-1").
    exec_flags: tuple[str, ...] = ()
    systemd_cgroup: bool = False
    terminal: bool = False
    #: cgroup.procs files of a cgroup that holds this exec alone: a kill then reaches daemonised children too.
    cgroup_procs: tuple[str, ...] = ()
    #: The runtime's own; None: as the zygote's. runc's execs have it, whatever *process* says of the user's umask.
    umask: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodInitSpec:
    """PID 1 of a pod. Paths are namespace files to join, "" for the zygote's own."""

    id: str
    net: str = ""
    ipc: str = ""
    uts: str = ""
    user: str = ""
    #: cgroup.procs files to enter.
    cgroup_procs: tuple[str, ...] = ()
    oom_score_adj: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UserNamespaceSpec:
    """A user namespace, and the namespaces that it shall own."""

    id: str
    #: As written to /proc/PID/uid_map and gid_map: lines of first id inside, first id outside, length.
    uid_map: str
    gid_map: str
    #: Of net, ipc and uts.
    kinds: tuple[str, ...] = ()
    #: "path=value" below /proc/sys, to be written by the new namespace's root.
    sysctls: tuple[str, ...] = ()


def to_message(spec: ContainerSpec | ExecSpec | PodInitSpec | UserNamespaceSpec) -> dict[str, object]:
    """The fields of *spec* for a request; those at their default are left out."""
    fields = dataclasses.fields(spec)
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in fields
        if (value := getattr(spec, field.name)) != field.default
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """How a container ended; what ``exitrecord`` wrote."""

    #: 0-255; 128 + signal for a killed process.
    exit_code: int
    signal: int = 0
    #: The kernel's OOM killer ended a process of the container at some time, not necessarily its init.
    oom_killed: bool = False
    oom_kills: int = 0
    #: Nanoseconds since the epoch.
    finished_at: int = 0
    pid: int = 0
    #: "alive", or "lost" when the monitor was killed before and the zygote wrote this.
    monitor: str = "alive"
    #: Bytes of log text that a full disk cost.
    log_dropped: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StateRecord:
    """Who runs a container; what ``state.json`` holds, for a daemon that recovers."""

    id: str
    pid: int
    #: Clock ticks since boot: with the pid it names one process.
    pid_start: int = 0
    monitor_pid: int = 0
    monitor_start: int = 0
    exit_path: str = ""
    terminal: bool = False


def exit_record(message: Mapping[str, object]) -> ExitRecord:
    """From an exit event or file. Unknown fields are ignored. Raises ValueError naming a field of the wrong type."""
    return ExitRecord(**_known(ExitRecord, message))  # type: ignore[arg-type]


def state_record(message: Mapping[str, object]) -> StateRecord:
    """From a reply or file; as ``exit_record``."""
    return StateRecord(**_known(StateRecord, message))  # type: ignore[arg-type]


def read_exit(path: str | Path) -> ExitRecord | None:
    """The exit record in *path*; None when there is none. Raises ValueError when it is damaged."""
    message = files.read_record(str(path))
    return None if message is None else exit_record(message)


def read_state(directory: str | Path) -> StateRecord | None:
    """The state record in a container's *directory*; None when there is none. Raises ValueError when it is damaged."""
    message = files.read_record(f"{directory}/{exitrecord.STATE}")
    return None if message is None else state_record(message)


_TYPES = {"int": int, "str": str, "bool": bool}


def _known(kind: type[ExitRecord | StateRecord], message: Mapping[str, object]) -> dict[str, object]:
    known: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        if field.name in message:
            value = message[field.name]
            if type(value) is not _TYPES[str(field.type)]:
                raise ValueError(f"{kind.__name__}.{field.name} must be {field.type}, not {value!r:.100}")
            known[field.name] = value
        elif field.default is dataclasses.MISSING:
            raise ValueError(f"{kind.__name__} lacks {field.name}")
    return known
