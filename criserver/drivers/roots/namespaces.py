"""Pinned namespaces of sandboxes (port `Namespaces`): bind mounts at <state>/sandboxes/<id>/ns/<kind>.

A pin is a file and a mount on it; both are named by the id, so unpinning needs no record and works after a kill at
any instruction. What may be written as a sysctl is decided here once more, whatever the caller has checked: a name
that does not belong to a namespace made in the same call would change the node (CVE-2022-0532).
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePath

from conmon.client import ConmonError, UserNamespaceSpec, Zygote
from criserver.errors import Internal, InvalidArgument
from criserver.kernel import files, mount, namespaces
from criserver.kernel.offload import offload
from criserver.model.security import IdMapping, UserNamespace
from criserver.observe.timings import asked

KINDS = ("net", "ipc", "uts", "pid", "user")

NO_SYSCTLS: Mapping[str, str] = {}

# Which namespace a sysctl belongs to, by its beginning (namespaces(7), Documentation/admin-guide/sysctl).
_SYSCTLS = {
    "net/": "net",
    "fs/mqueue/": "ipc",
    "kernel/msg": "ipc",
    "kernel/sem": "ipc",
    "kernel/shm": "ipc",
    "kernel/domainname": "uts",
}


class PinnedNamespaces:
    """The namespaces of this server's sandboxes, under its state directory."""

    def __init__(self, state: str, zygote: Zygote) -> None:
        """`state` is the server's state directory; it exists. `zygote` makes user namespaces."""
        self._zygote = zygote
        # As the kernel will show it in mountinfo.
        self._sandboxes = os.path.join(os.path.realpath(state), "sandboxes")

    def path(self, sandbox_id: str, kind: str) -> str:
        """Where the namespace of that kind is or would be pinned."""
        return f"{self._directory(sandbox_id)}/{kind}"

    async def pin(
        self,
        sandbox_id: str,
        kinds: AbstractSet[str],
        *,
        hostname: str = "",
        sysctls: Mapping[str, str] | None = None,
        userns: UserNamespace | None = None,
    ) -> None:
        """Create and pin namespaces; nothing of them is left after a failure.

        `sysctls` have dotted names. InvalidArgument for one outside the namespaces of `kinds`, or which the kernel
        refuses; Internal, with the call that failed, for the rest.
        """
        paths = {kind: self.path(sandbox_id, kind) for kind in KINDS if kind in kinds}
        written = {sysctl_path(name, kinds): _sysctl_value(name, value) for name, value in (sysctls or {}).items()}
        name = hostname if "uts" in kinds else ""
        if userns is None:
            _note(paths, name, written)
            await offload(self._pin, sandbox_id, paths, hostname, written)
            return
        paths["user"] = self.path(sandbox_id, "user")
        _note(paths, name, written, userns)
        owned = tuple(kind for kind in paths if kind != "user")
        made, written = await user_namespace(self._zygote, sandbox_id, userns, owned, written)
        try:
            await offload(self._pin, sandbox_id, paths, hostname, written, made)
        finally:
            for fd in made.values():
                os.close(fd)

    async def pin_pid(self, sandbox_id: str, pid: int) -> None:
        """Pin the PID namespace of process `pid`, in place of one pinned before."""
        asked("namespace", f"mount --bind /proc/{pid}/ns/pid {self.path(sandbox_id, 'pid')}")
        await offload(self._pin_pid, sandbox_id, pid)

    async def unpin(self, sandbox_id: str) -> None:
        """Drop every pinned namespace of the sandbox. Idempotent."""
        await offload(self._unpin, sandbox_id)

    async def pinned(self) -> Mapping[str, frozenset[str]]:
        """Sandbox id → kinds, as the kernel has them mounted now."""
        return pinned_below(self._sandboxes, await offload(mount.mounts))

    def _directory(self, sandbox_id: str) -> str:
        return f"{self._sandboxes}/{sandbox_id}/ns"

    def _pin(
        self,
        sandbox_id: str,
        paths: Mapping[str, str],
        hostname: str,
        sysctls: Mapping[str, str],
        made: Mapping[str, int] = namespaces.NOTHING_MADE,
    ) -> None:
        self._unpin(sandbox_id)  # What an attempt that was killed has left.
        files.make_private(self._directory(sandbox_id))
        try:
            namespaces.pin_new(paths, hostname=hostname, sysctls=sysctls, made=made)
        except OSError as error:
            self._unpin(sandbox_id)
            if error.filename and str(error.filename).startswith("/proc/sys/"):
                raise InvalidArgument(f"sysctls: the kernel refuses this: {error}") from error
            raise Internal(f"cannot make namespaces of sandbox {sandbox_id}: {error}") from error

    def _pin_pid(self, sandbox_id: str, pid: int) -> None:
        files.make_private(self._directory(sandbox_id))
        target = self.path(sandbox_id, "pid")
        namespaces.unpin(target)
        try:
            namespaces.pin_of(pid, "pid", target)
        except OSError as error:
            namespaces.unpin(target)
            raise Internal(f"cannot pin the PID namespace of sandbox {sandbox_id}: {error}") from error

    def _unpin(self, sandbox_id: str) -> None:
        for kind in KINDS:
            namespaces.unpin(self.path(sandbox_id, kind))
        directory = self._directory(sandbox_id)
        for empty in (directory, os.path.dirname(directory)):
            # The sandbox's directory stays while others have files in it.
            with contextlib.suppress(OSError):
                os.rmdir(empty)


def _note(
    paths: Mapping[str, str], hostname: str, sysctls: Mapping[str, str], userns: UserNamespace | None = None
) -> None:
    """What making the namespaces asks of the kernel, for whoever traces it."""
    flags = " | ".join(f"CLONE_NEW{kind.upper()}" for kind in paths)
    asked("namespace", f"unshare({flags}) in {'a fork of the zygote' if userns else 'a thread of its own'}")
    if userns:
        for file, mappings in (("uid_map", userns.uids), ("gid_map", userns.gids)):
            asked("namespace", f"/proc/$pid/{file} = {id_map(mappings).strip()}")
    if "net" in paths:
        asked("network", "ip link set lo up")
    if hostname:
        asked("namespace", f"sethostname({hostname!r})")
    for name, value in sysctls.items():
        asked("sysctl", f"/proc/sys/{name} = {value}")
    for kind, path in paths.items():
        asked("namespace", f"mount --bind /proc/thread-self/ns/{kind} {path}")


async def user_namespace(
    zygote: Zygote,
    sandbox_id: str,
    userns: UserNamespace,
    kinds: tuple[str, ...] = (),
    sysctls: Mapping[str, str] = NO_SYSCTLS,
) -> tuple[dict[str, int], dict[str, str]]:
    """Descriptors, the caller's to close, of a new user namespace ("user") and of namespaces of `kinds` that it owns.

    `sysctls` (path below /proc/sys → value) are written inside, and those that only the host's root may write are
    given back. InvalidArgument for what the kernel refuses of them, Internal for the rest.
    """
    spec = UserNamespaceSpec(
        id=sandbox_id,
        uid_map=id_map(userns.uids),
        gid_map=id_map(userns.gids),
        kinds=kinds,
        sysctls=tuple(f"{name}={value}" for name, value in sysctls.items()),
    )
    try:
        fds, left = await zygote.user_namespace(spec)
    except ConmonError as error:
        if "/proc/sys/" in str(error):
            raise InvalidArgument(f"sysctls: the kernel refuses this: {error}") from error
        raise Internal(f"cannot make the user namespace of sandbox {sandbox_id}: {error}") from error
    names = {entry.partition("=")[0] for entry in left}
    made = dict(zip(("user", *kinds), fds, strict=True))
    return made, {name: value for name, value in sysctls.items() if name in names}


def id_map(mappings: tuple[IdMapping, ...]) -> str:
    """What is written to uid_map or gid_map (user_namespaces(7))."""
    return "".join(f"{each.container_id} {each.host_id} {each.length}\n" for each in mappings)


def pinned_below(sandboxes: str, mounts: tuple[mount.MountInfo, ...]) -> Mapping[str, frozenset[str]]:
    """Sandbox id → kinds pinned under the directory `sandboxes`, out of a mount table."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in mounts:
        path = PurePath(entry.target)
        if entry.fstype == "nsfs" and path.is_relative_to(sandboxes):
            parts = path.relative_to(sandboxes).parts
            if len(parts) == 3 and parts[1] == "ns":
                found[parts[0]].add(parts[2])
    return {sandbox_id: frozenset(kinds) for sandbox_id, kinds in found.items()}


def sysctl_path(name: str, kinds: AbstractSet[str]) -> str:
    """The path under /proc/sys of a dotted sysctl name that belongs to a namespace of `kinds`; else InvalidArgument.

    As in sysctl(8): where the first separator is a slash, dots are part of names ("net/ipv4/conf/eth0.1/…"), and
    otherwise a slash stands for a dot within a name.
    """
    first = min((name.find(mark) for mark in "./" if mark in name), default=-1)
    path = name.translate(str.maketrans("./", "/.")) if name[first : first + 1] == "." else name
    if any(part in ("", ".", "..") for part in path.split("/")) or not path.isprintable():
        raise InvalidArgument(f"sysctls: {name!r} is not the name of a sysctl")
    kind = next((kind for prefix, kind in _SYSCTLS.items() if path.startswith(prefix)), None)
    if kind is None:
        raise InvalidArgument(f"sysctls: {name} belongs to the node, not to a namespace, and cannot be set for a pod")
    if kind not in kinds:
        raise InvalidArgument(f"sysctls: {name} cannot be set in a pod that uses the node's {kind} namespace")
    return path


def _sysctl_value(name: str, value: str) -> str:
    if not value or any(ord(char) < 32 and char != "\t" for char in value):
        raise InvalidArgument(f"sysctls: value {value!r} of {name} is empty or has control characters")
    return value
