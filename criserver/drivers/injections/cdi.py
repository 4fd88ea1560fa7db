"""The CDI devices of this node: which file counts for a name, and what a container gets for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from criserver.drivers.injections.cdi_file import CdiEdits, CdiNode, parse
from criserver.drivers.injections.operator_files import OperatorFile
from criserver.errors import FailedPrecondition
from criserver.model.edits import NO_EDITS, EditedDevice, EditedMount, Edits, Hook


@dataclass(frozen=True, slots=True)
class _Found:
    """A device, and the file that describes it."""

    path: str
    priority: int
    whole: CdiEdits
    own: CdiEdits


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All devices by full name, the files of names that conflict, and the faults of files that are no good."""

    devices: Mapping[str, _Found] = field(default_factory=dict)
    conflicts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def edits(self, names: Sequence[str]) -> Edits:
        """What the devices come to: for each file its own edits once, then those of each of its devices (blocks).

        FailedPrecondition names what is not there, there twice, or whose node is not on the host.
        """
        self._check(names)
        result, files = NO_EDITS, set()
        for name in dict.fromkeys(names):
            found = self.devices[name]
            if found.path not in files:
                files.add(found.path)
                result += _resolved(found.whole, name)
            result += _resolved(found.own, name)
        return result

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            if name in self.conflicts:
                one, other = self.conflicts[name]
                raise FailedPrecondition(f"CDI device {name}: both {one} and {other} describe it; remove one of them")
        if missing := [name for name in names if name not in self.devices]:
            faults = "".join(f"; {path} cannot be used: {fault}" for path, fault in self.faults.items())
            raise FailedPrecondition(f"CDI devices {', '.join(missing)}: no file of this node describes them{faults}")


def catalogue(files: Sequence[OperatorFile]) -> Catalogue:
    """The devices of those files; of equal names that of the directory named later counts."""
    devices: dict[str, _Found] = {}
    conflicts: dict[str, tuple[str, str]] = {}
    faults: dict[str, str] = {}
    for file in files:
        try:
            parsed = parse(file)
        except ValueError as error:
            faults[file.path] = str(error)
            continue
        for device in parsed.devices:
            name = f"{parsed.kind}={device.name}"
            other = devices.get(name)
            if other and other.priority == file.priority:
                conflicts[name] = (other.path, file.path)
            elif other:
                conflicts.pop(name, None)
            devices[name] = _Found(file.path, file.priority, parsed.container_edits, device.container_edits)
    return Catalogue(devices, conflicts, faults)


def _resolved(edits: CdiEdits, name: str) -> Edits:
    """Edits in our form, with the numbers of nodes of the host."""
    return Edits(
        env=tuple(edits.env),
        devices=tuple(_node(node, name) for node in edits.device_nodes),
        mounts=tuple(EditedMount(m.host_path, m.container_path, m.type, tuple(m.options)) for m in edits.mounts),
        hooks=tuple(Hook((h.hook_name,), h.path, tuple(h.args), tuple(h.env), h.timeout) for h in edits.hooks),
        gids=tuple(edits.additional_gids),
        rdt=msgspec.to_builtins(edits.intel_rdt) if edits.intel_rdt else {},
    )


def _node(node: CdiNode, name: str) -> EditedDevice:
    kind, major, minor = node.type, node.major, node.minor
    if not kind or (not major and kind != "p"):
        kind, major, minor = _numbers(node, name)
    access = node.permissions or "rwm"
    return EditedDevice(node.path, kind, major, minor, node.file_mode, access, node.uid, node.gid)


def _numbers(node: CdiNode, name: str) -> tuple[str, int, int]:
    """Type and numbers of the node on the host, where the file does not give them."""
    path = node.host_path or node.path
    try:
        status = os.lstat(path)
    except OSError as error:
        raise FailedPrecondition(f"CDI device {name}: its node {path} on this host: {error.strerror}") from error
    kinds: dict[int, str] = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "")
    if not kind or (node.type and node.type != ("c" if node.type == "u" else kind)):
        wanted = node.type or "b, c or p"
        raise FailedPrecondition(f"CDI device {name}: {path} on this host is no device node of type {wanted}")
    return node.type or kind, os.major(status.st_rdev), os.minor(status.st_rdev)
