"""The `process` part of the document: arguments, environment, working directory, limits; and that of an exec.

Says what runs; who it runs as comes from `user.py` and what it may do from `capabilities.py` and `security.py`.
"""

from __future__ import annotations

from typing import Any

from criserver.errors import InvalidArgument
from criserver.model.container import ContainerConfig, ProcessUser
from criserver.model.image import ImageDefaults
from criserver.spec import capabilities, checks, security
from criserver.spec.wish import HostFacts, Rlimit, SpecWish

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TERM = "TERM=xterm"
_RLIMITS = frozenset(
    checks.words(
        "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK",
        prefix="RLIMIT_",
    )
)


def process(wish: SpecWish) -> dict[str, Any]:
    """The OCI process of the container's first process (runtime-spec config.md, "process")."""
    config = wish.config
    granted = capabilities.granted(config.security, wish.policy.default_capabilities, wish.host.capabilities)
    label, _ = security.selinux_labels(wish)
    result: dict[str, Any] = {
        "terminal": config.tty,
        "user": _user(wish.user, wish.policy.umask),
        "args": arguments(config, wish.image),
        "env": environment(wish),
        "cwd": working_directory(config, wish.image),
        "capabilities": capabilities.sets(granted),
        "rlimits": _rlimits(wish.policy.rlimits),
        "noNewPrivileges": config.security.no_new_privs,
        "oomScoreAdj": oom_score_adj(config.resources.oom_score_adj, wish.host),
    }
    profile = security.apparmor_profile(wish)
    if profile:
        result["apparmorProfile"] = profile
    if label:
        result["selinuxLabel"] = label
    return result


def exec_process(process: dict[str, Any], command: tuple[str, ...], tty: bool) -> dict[str, Any]:
    """The OCI process for `command` beside a running one: same user, environment, confinement and capabilities.

    `process` is that of the container's config.json. InvalidArgument for an empty command or a NUL byte in it.
    """
    if not command or not command[0]:
        raise InvalidArgument("cmd: empty; give the program to run in the container")
    env = list(process["env"])
    if tty and not any(entry.startswith("TERM=") for entry in env):
        env.append(_TERM)
    held = process.get("capabilities", {}).get("bounding", [])
    args = [checks.text(argument, "cmd") for argument in command]
    return {**process, "terminal": tty, "args": args, "env": env, "capabilities": capabilities.sets(held)}


def arguments(config: ContainerConfig, image: ImageDefaults) -> list[str]:
    """What is executed: `command` stands for the image's entrypoint, and without its cmd; `args` for its cmd."""
    args = config.command + config.args
    if not config.command:
        args = image.entrypoint + (config.args or image.cmd)
    if not args or not args[0]:
        raise InvalidArgument(
            "config.command: empty, and the image has neither entrypoint nor command; give the program to run"
        )
    return list(args)


def environment(wish: SpecWish) -> list[str]:
    """KEY=value entries, each key once: ours, then the image's, then the request's, the later one counting."""
    merged = dict(_pair(entry) for entry in (_PATH, *([_TERM] if wish.config.tty else []), *wish.policy.default_env))
    merged["HOME"] = wish.home if wish.home.startswith("/") else "/"
    merged.update(_pair(entry) for entry in wish.image.env if entry.find("=") > 0)
    if wish.hostname:
        merged["HOSTNAME"] = wish.hostname
    for key, value in wish.config.envs:
        if not key or "=" in key:
            raise InvalidArgument(f'config.envs: key {key!r} is not a variable name; give one without "="')
        merged[key] = value
    _check_home(merged["HOME"])
    return [f"{key}={value}" for key, value in merged.items()]


def working_directory(config: ContainerConfig, image: ImageDefaults) -> str:
    """The directory that the process starts in; an image's relative one counts from the root.

    Directories of open descriptors are refused: they lead out of the container (CVE-2024-21626).
    """
    given = config.working_dir or "/" + image.working_dir
    path = checks.normal_path(checks.text(given, "config.working_dir"))
    if not given.startswith("/"):
        raise InvalidArgument(f"config.working_dir: {given!r} is not an absolute path; begin it with /")
    parts = path.split("/")[1:]
    if parts[:2] == ["dev", "fd"] or (parts[0] == "proc" and "fd" in parts):
        raise InvalidArgument(
            f"config.working_dir: {given!r} leads to an open descriptor; give a directory of the image"
        )
    return path


def oom_score_adj(wanted: int, host: HostFacts) -> int:
    """proc_pid_oom_score_adj(5), not below the daemon's own unless it has CAP_SYS_RESOURCE."""
    checks.number(wanted, -1000, 1000, "config.linux.resources.oom_score_adj")
    if "CAP_SYS_RESOURCE" in host.capabilities:
        return wanted
    return max(wanted, host.oom_score_adj)


def _user(user: ProcessUser, umask: int | None) -> dict[str, Any]:
    result: dict[str, Any] = {"uid": user.uid, "gid": user.gid}
    if umask is not None:
        result["umask"] = umask
    if user.additional_gids:
        result["additionalGids"] = list(user.additional_gids)
    return result


def _rlimits(limits: tuple[Rlimit, ...]) -> list[dict[str, Any]]:
    for limit in limits:
        if limit.type not in _RLIMITS:
            raise InvalidArgument(f"rlimits: {limit.type!r} is not a limit; see setrlimit(2), e.g. RLIMIT_NOFILE")
        if not 0 <= limit.soft <= limit.hard:
            raise InvalidArgument(f"rlimits: {limit.type}: soft {limit.soft} must be within 0 and hard {limit.hard}")
    return [{"type": limit.type, "soft": limit.soft, "hard": limit.hard} for limit in limits]


def _pair(entry: str) -> tuple[str, str]:
    key, _, value = entry.partition("=")
    return key, value


def _check_home(home: str) -> None:
    # Who writes a passwd entry from HOME must not get a second line out of it (CVE-2022-4318, CVE-2026-15809).
    if "\n" in home or "\r" in home:
        raise InvalidArgument(f"config.envs: HOME {home!r} holds a line break; give one path")
