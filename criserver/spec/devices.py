"""Device nodes of a container and the cgroup rules that let it use them.

The first rule always denies everything: a list that only allows would be taken as a list of exceptions to "allow all"
(GHSA-g54h-m393-cpwq).
"""

from __future__ import annotations

from typing import Any

from criserver.errors import Internal, InvalidArgument
from criserver.model.host import HostDevice
from criserver.model.security import ContainerSecurity
from criserver.spec import checks
from criserver.spec.wish import ResolvedDevice, SpecWish

_DENY_ALL: dict[str, Any] = {"allow": False, "access": "rwm"}
_ALLOW_ALL: dict[str, Any] = {"allow": True, "access": "rwm"}
# Made by the runtime in every container (runtime-spec config-linux.md, "Default Devices"); not to be made twice.
_RUNTIME_OWN = frozenset(checks.words("console full null ptmx random tty urandom zero", prefix="/dev/"))


def nodes(wish: SpecWish) -> list[dict[str, Any]]:
    """linux.devices: the host's in a privileged container, and those asked for, by path."""
    _check_resolved(wish)
    found: dict[str, dict[str, Any]] = {}
    if _has_host_devices(wish):
        found = {device.path: _node(device.path, device) for device in wish.host.devices}
    for device in wish.devices:
        path = _path(device)
        found[path] = _owned(_node(path, device.node), wish)
    for path in bound(wish):
        del found[path]
    return [found[path] for path in sorted(found) if path not in _RUNTIME_OWN]


def bound(wish: SpecWish) -> dict[str, str]:
    """Path inside → path on the host of devices that are mounted instead of made.

    Nobody makes nodes in a user namespace: runtimes bind the host's there, and runc the one of the path inside.
    """
    devices = wish.devices if wish.user_namespace else ()
    return {path: device.node.path for device in devices if (path := _path(device)) != device.node.path}


def rules(wish: SpecWish) -> list[dict[str, Any]]:
    """linux.resources.devices; the runtime adds those of its default devices."""
    result = [dict(_DENY_ALL)]
    if _has_host_devices(wish):
        return [*result, dict(_ALLOW_ALL)]
    for device in wish.devices:
        node = device.node
        allowed = {"allow": True, "type": node.type, "major": node.major, "minor": node.minor}
        result.append({**allowed, "access": _permissions(device)})
    return result


def _check_resolved(wish: SpecWish) -> None:
    missing = set(wish.config.devices) - {resolved.device for resolved in wish.devices}
    if missing:
        raise Internal(f"devices {', '.join(sorted(device.host_path for device in missing))} were not resolved")


def _has_host_devices(wish: SpecWish) -> bool:
    return wish.config.security.privileged and not wish.policy.privileged_without_host_devices


def _node(path: str, device: HostDevice) -> dict[str, Any]:
    if device.type not in ("c", "b"):
        raise InvalidArgument(f"devices: {device.path} is neither a character nor a block device; give one that is")
    return {
        "path": path,
        "type": device.type,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode & 0o777,
        "uid": device.uid,
        "gid": device.gid,
    }


def _owned(node: dict[str, Any], wish: SpecWish) -> dict[str, Any]:
    """The node with the container's user as its owner, where the configuration says so and the request names one."""
    security: ContainerSecurity = wish.config.security
    if not wish.policy.device_ownership_from_security_context:
        return node
    uid = node["uid"] if security.run_as_user is None else wish.user.uid
    gid = node["gid"] if security.run_as_group is None else wish.user.gid
    return {**node, "uid": uid, "gid": gid}


def _path(device: ResolvedDevice) -> str:
    # A node of a directory appears under the same name in the directory's place.
    top = device.device.host_path.rstrip("/") + "/"
    below = "/" + device.node.path.removeprefix(top) if device.node.path.startswith(top) else ""
    given = (device.device.container_path or device.device.host_path) + below
    path = checks.absolute_path(given, "devices.container_path")
    if path == "/" or checks.beneath(path, "/proc") or checks.beneath(path, "/sys"):
        raise InvalidArgument(f"devices.container_path: {given!r} cannot hold a device node; give a path in /dev")
    return path


def _permissions(device: ResolvedDevice) -> str:
    given = device.device.permissions
    if not given or set(given) - set("rwm"):
        raise InvalidArgument(f'devices.permissions: {given!r} for {device.device.host_path}; give some of "rwm"')
    return "".join(letter for letter in "rwm" if letter in given)
