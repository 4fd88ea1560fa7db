"""One CDI file (Container Device Interface, SPEC.md, versions to 1.0): its form, and whether it keeps to it.

A file is taken as a whole or not at all: an unknown field, or one newer than the version that the file names, is a
fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import yaml

from criserver.drivers.injections.operator_files import OperatorFile
from criserver.model.edits import STAGES, cdi_name

_VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0")


class _Struct(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """An object of a CDI file: what is not known is refused."""


class CdiNode(_Struct):
    """A device node of the container."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class CdiMount(_Struct):
    """A mount."""

    host_path: str
    container_path: str
    options: list[str] = []
    type: str = ""


class CdiHook(_Struct):
    """A hook."""

    hook_name: str
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class CdiRdt(_Struct, omit_defaults=True):
    """Settings of resctrl."""

    clos_id: str = msgspec.field(default="", name="closID")
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    enable_cmt: bool = msgspec.field(default=False, name="enableCMT")
    enable_mbm: bool = msgspec.field(default=False, name="enableMBM")


class CdiEdits(_Struct):
    """Edits, of a file or of one of its devices."""

    env: list[str] = []
    device_nodes: list[CdiNode] = []
    hooks: list[CdiHook] = []
    mounts: list[CdiMount] = []
    intel_rdt: CdiRdt | None = None
    additional_gids: list[int] = []


class CdiDevice(_Struct):
    """A device."""

    name: str
    annotations: dict[str, str] = {}
    container_edits: CdiEdits = msgspec.field(default_factory=CdiEdits)


class CdiFile(_Struct):
    """A whole file."""

    cdi_version: str
    kind: str
    devices: list[CdiDevice]
    annotations: dict[str, str] = {}
    container_edits: CdiEdits = msgspec.field(default_factory=CdiEdits)


def parse(file: OperatorFile) -> CdiFile:
    """One file, JSON or YAML by its name; ValueError says what is wrong with it."""
    if file.fault:
        raise ValueError(file.fault)
    try:
        data = json.loads(file.text) if file.path.endswith(".json") else yaml.safe_load(file.text)
        parsed = msgspec.convert(data, CdiFile)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error
    _check_file(parsed)
    return parsed


def _check_file(file: CdiFile) -> None:
    if file.cdi_version not in _VERSIONS:
        raise ValueError(f"cdiVersion {file.cdi_version!r}; known are {', '.join(_VERSIONS)}")
    if not file.devices:
        raise ValueError("devices: empty; give at least one")
    names = [device.name for device in file.devices]
    for name in names:
        if cdi_name(f"{file.kind}={name}") is None:
            raise ValueError(f"kind {file.kind!r} with device {name!r} is no CDI name, vendor/class=device")
        if names.count(name) > 1:
            raise ValueError(f"device {name!r} is described twice")
    _check_edits(file.container_edits, "containerEdits")
    for device in file.devices:
        _check_edits(device.container_edits, f"device {device.name!r}")
        if device.container_edits == CdiEdits() and file.container_edits == CdiEdits():
            raise ValueError(f"device {device.name!r} changes nothing; give containerEdits")
    for version, used in _NEWER.items():
        if _VERSIONS.index(version) > _VERSIONS.index(file.cdi_version) and used(file):
            raise ValueError(f"has what came with cdiVersion {version}, but names {file.cdi_version}")


def _all_edits(file: CdiFile) -> list[CdiEdits]:
    return [file.container_edits, *(device.container_edits for device in file.devices)]


# What came with a version of the specification, by whether a file has it.
_NEWER: dict[str, Callable[[CdiFile], bool]] = {
    "0.4.0": lambda file: any(mount.type for edits in _all_edits(file) for mount in edits.mounts),
    "0.5.0": lambda file: any(node.host_path for edits in _all_edits(file) for node in edits.device_nodes)
    or any(device.name[0].isdigit() for device in file.devices),
    "0.6.0": lambda file: bool(file.annotations)
    or any(device.annotations for device in file.devices)
    or "." in file.kind.partition("/")[2],
    "0.7.0": lambda file: any(edits.intel_rdt or edits.additional_gids for edits in _all_edits(file)),
}


def _check_edits(edits: CdiEdits, where: str) -> None:
    for entry in edits.env:
        if entry.find("=") < 1 or "\0" in entry:
            raise ValueError(f"{where}: env {entry!r} is not NAME=VALUE")
    for node in edits.device_nodes:
        _check_node(node, f"{where}: deviceNodes {node.path!r}")
    for mount in edits.mounts:
        if not mount.host_path or not mount.container_path.startswith("/") or ".." in mount.container_path.split("/"):
            raise ValueError(f"{where}: mounts {mount.container_path!r}: give hostPath, and an absolute containerPath")
    for hook in edits.hooks:
        if hook.hook_name not in STAGES or not hook.path.startswith("/") or (hook.timeout or 1) < 1:
            raise ValueError(f"{where}: hooks {hook.hook_name!r}: give one of {', '.join(STAGES)}, an absolute path")
    if not all(0 <= gid < 1 << 32 for gid in edits.additional_gids):
        raise ValueError(f"{where}: additionalGids: out of range")
    if edits.intel_rdt and not _is_name(edits.intel_rdt.clos_id):
        raise ValueError(f"{where}: intelRdt.closID {edits.intel_rdt.clos_id[:80]!r} is not the name of a directory")


def _check_node(node: CdiNode, where: str) -> None:
    if not node.path.startswith("/") or node.type not in ("", "b", "c", "u", "p") or set(node.permissions) - set("rwm"):
        raise ValueError(f"{where}: give an absolute path, a type of b c u p, permissions of r w m")
    if not all(0 <= number < 1 << 32 for number in (node.major, node.minor, node.uid or 0, node.gid or 0)):
        raise ValueError(f"{where}: a number is out of range")
    if not 0 <= (node.file_mode or 0) <= 0o7777:
        raise ValueError(f"{where}: fileMode {node.file_mode} is out of range")


def _is_name(text: str) -> bool:
    return text not in (".", "..") and "/" not in text and "\n" not in text and len(text) <= 255
