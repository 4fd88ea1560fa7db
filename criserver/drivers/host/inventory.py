"""What pods and containers of this server have of the kernel and on disk (port `Inventory`).

Everything is found by names derived from ids below this server's own directories, its zygote's list and its network
cache among them; two servers on a host do not see each other's. Address leases are the exception: host-local keeps
those of everybody who uses a network in one directory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

import cni
from conmon import entries
from criserver.drivers.roots import overlay
from criserver.kernel import mount, proc
from criserver.kernel.offload import offload
from criserver.model.findings import NAMESPACES, Kind, Thing

_LEASES = "/var/lib/cni/networks"
"""Where host-local keeps its leases when its configuration says nothing (its documentation, "dataDir")."""
_LEASE_LIMIT = 4096
_HEXADECIMAL = frozenset("0123456789abcdef")

class KernelInventory:
    """One server's things."""

    def __init__(self, root: str, state: str, conf_dir: str) -> None:
        """`root` and `state` are the server's directories, `conf_dir` is that of CNI configurations."""
        self._root, self._state, self._conf_dir = os.path.realpath(root), os.path.realpath(state), conf_dir

    async def things(self) -> tuple[Thing, ...]:
        """What is there now."""
        return await offload(self._found)

    def _found(self) -> tuple[Thing, ...]:
        mounts = tuple(mounted(self._root, self._state, mount.mounts()))
        attached = cni.Cache(os.path.join(self._root, "cni")).attachments()
        attachments = [
            Thing(Kind.ATTACHMENT, each.attachment.container_id, f"{each.network} {each.attachment.ifname}")
            for each in attached
        ]
        inits = pod_inits({each.where: each.owner for each in mounts if each.kind is Kind.PID})
        return (*mounts, *inits, *self._monitors(), *self._directories(), *attachments, *self._leases())

    def _monitors(self) -> Iterator[Thing]:
        """Living monitors, and creations and their undos that are on their way."""
        with contextlib.suppress(FileNotFoundError):
            for entry in entries.read(f"{self._state}/zygote"):
                if proc.start_time(entry.pid) is not None:
                    yield Thing(Kind.MONITOR, entry.container, f"pid {entry.pid}")

    def _directories(self) -> Iterator[Thing]:
        state, written = self._state, f"{self._root}/containers"
        for pod in _names(f"{state}/sandboxes"):
            # The directory of pinned namespaces is in it too, and is no file of the pod's.
            if any(name != "ns" for name in _names(f"{state}/sandboxes/{pod}")):
                yield Thing(Kind.POD_FILES, pod, f"{state}/sandboxes/{pod}")
        for container in _names(f"{state}/containers"):
            own = f"{state}/containers/{container}"
            if os.path.isdir(f"{own}/monitor"):
                yield Thing(Kind.MONITOR_FILES, container, f"{own}/monitor")
            yield Thing(Kind.BUNDLE, container, own)
        for container in _names(written):
            if frozenset(overlay.OWN).intersection(_names(f"{written}/{container}")):
                yield Thing(Kind.WRITABLE, container, f"{written}/{container}")
        for handler in _names(f"{state}/runtime"):
            for container in _names(f"{state}/runtime/{handler}"):
                yield Thing(Kind.RUNTIME, container, f"{state}/runtime/{handler}/{container}")

    def _leases(self) -> Iterator[Thing]:
        try:
            network = cni.ConfDir(self._conf_dir).current().network()
        except cni.CniError:
            return  # without a network nothing says where they are
        for plugin in network.plugins:
            ipam = plugin.raw.get("ipam")
            if isinstance(ipam, dict) and ipam.get("type") == "host-local":
                directory = f"{ipam.get('dataDir') or _LEASES}/{network.name}"
                for name in _names(directory):
                    if owner := _leased_to(f"{directory}/{name}"):
                        yield Thing(Kind.ADDRESS, owner, f"{directory}/{name}")


def pod_inits(pins: Mapping[str, str]) -> Iterator[Thing]:
    """The first process of each PID namespace that is pinned at a path of `pins` (path → sandbox id)."""
    namespaces = {}
    for path, owner in pins.items():
        with contextlib.suppress(OSError):
            namespaces[os.stat(path).st_ino] = owner
    for pid in filter(str.isdecimal, os.listdir("/proc") if namespaces else ()):
        with contextlib.suppress(OSError):
            found = namespaces.get(os.stat(f"/proc/{pid}/ns/pid").st_ino)
            # NSpid has the pid in each namespace from ours inwards; processes of containers below have more numbers
            if found is not None and proc.status(int(pid)).get("NSpid", "").split()[1:] == ["1"]:
                yield Thing(Kind.POD_INIT, found, f"pid {pid}")


def mounted(root: str, state: str, mounts: Iterable[mount.MountInfo]) -> Iterator[Thing]:
    """The mounts below the directories where this server mounts; one of an unknown name has no owner."""
    bases = tuple(f"{base}/" for base in (f"{state}/sandboxes", f"{state}/containers", f"{state}/volumes"))
    for each in mounts:
        if each.target.startswith((*bases, f"{root}/containers/")):
            parts = PurePath(each.target).relative_to(state).parts if each.target.startswith(bases) else ()
            kind = _mount_kind(parts)
            yield Thing(kind, parts[1] if kind is not Kind.MOUNT else "", each.target)


def _mount_kind(parts: tuple[str, ...]) -> Kind:
    match parts:
        case ("sandboxes", _, "ns", kind) if kind in NAMESPACES:
            return NAMESPACES[kind]
        case ("sandboxes", _, "shm"):
            return Kind.SHM
        case ("containers", _, "rootfs"):
            return Kind.ROOT
        case ("volumes", _, _):
            return Kind.VOLUME
    return Kind.MOUNT


def _leased_to(path: str) -> str:
    """The container id in a lease file, "" for any other file; ids that are not like this server's are others'."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            first = file.read(_LEASE_LIMIT).split("\n", 1)[0].strip()
    except OSError:
        return ""
    return first if len(first) == 64 and set(first) <= _HEXADECIMAL else ""


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
