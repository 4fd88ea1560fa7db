"""Namespace options and ID mappings, from and to protobuf."""

from __future__ import annotations

from collections.abc import Sequence

from criserver.api.convert import fields
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.security import IdMapping, NamespaceMode, NamespaceOptions, UserNamespace

_MODES: dict[int, NamespaceMode] = {number: NamespaceMode(name) for name, number in pb.NamespaceMode.items()}
_MODE_NUMBERS = {mode: pb.NamespaceMode.Value(mode.value) for mode in NamespaceMode}
# The kernel takes as many lines in uid_map (user_namespaces(7)).
_MAPPINGS_LIMIT = 340


def namespace_options_pb(options: NamespaceOptions) -> pb.NamespaceOption:
    """NamespaceOption, for a sandbox's status."""
    result = pb.NamespaceOption(
        network=_MODE_NUMBERS[options.network],
        pid=_MODE_NUMBERS[options.pid],
        ipc=_MODE_NUMBERS[options.ipc],
        target_id=options.target_id,
    )
    if options.userns is not None:
        result.userns_options.mode = _MODE_NUMBERS[options.userns.mode]
        result.userns_options.uids.extend(mappings_pb(options.userns.uids))
        result.userns_options.gids.extend(mappings_pb(options.userns.gids))
    return result


def mappings(given: Sequence[pb.IDMapping], field: str) -> tuple[IdMapping, ...]:
    """ID mappings; none may be empty or run past the last id, and there are not more than the kernel takes."""
    if len(given) > _MAPPINGS_LIMIT:
        raise InvalidArgument(f"{field}: {len(given)} mappings; give at most {_MAPPINGS_LIMIT}")
    for mapping in given:
        last = max(mapping.host_id, mapping.container_id) + mapping.length - 1
        if not mapping.length or last >= 2**32 - 1:
            raise InvalidArgument(f"{field}: a mapping of {mapping.length} ids up to {last}; give 1 up to {2**32 - 2}")
    return tuple(IdMapping(m.host_id, m.container_id, m.length) for m in given)


def mappings_pb(given: Sequence[IdMapping]) -> list[pb.IDMapping]:
    """ID mappings back."""
    return [pb.IDMapping(host_id=m.host_id, container_id=m.container_id, length=m.length) for m in given]


def sandbox_namespaces(given: pb.NamespaceOption, field: str) -> NamespaceOptions:
    """NamespaceOption of a sandbox, where only a container's TARGET has no meaning."""
    options = namespace_options(given, field)
    if options.pid is NamespaceMode.TARGET:
        raise InvalidArgument(
            f"{field}.pid: TARGET, but a pod sandbox has no container yet; give POD, CONTAINER or NODE"
        )
    return options


def namespace_options(given: pb.NamespaceOption, field: str) -> NamespaceOptions:
    """NamespaceOption of a container; InvalidArgument for modes that have no meaning there."""
    network, ipc = _pod_or_node(given.network, f"{field}.network"), _pod_or_node(given.ipc, f"{field}.ipc")
    pid = fields.choice(given.pid, _MODES, f"{field}.pid")
    if pid is NamespaceMode.TARGET and not given.target_id:
        raise InvalidArgument(f"{field}.target_id: empty, but pid is TARGET; give the id of a container of this pod")
    target = fields.line(given.target_id, f"{field}.target_id")
    has_userns = given.HasField("userns_options")
    userns = _user_namespace(given.userns_options, f"{field}.userns_options") if has_userns else None
    return NamespaceOptions(network, pid, ipc, target, userns)


def _user_namespace(given: pb.UserNamespace, field: str) -> UserNamespace:
    mode = _pod_or_node(given.mode, f"{field}.mode")
    uids, gids = mappings(given.uids, f"{field}.uids"), mappings(given.gids, f"{field}.gids")
    if mode is NamespaceMode.NODE and (uids or gids):
        raise InvalidArgument(f"{field}: mappings with mode NODE, which has none; leave them out, or give mode POD")
    if mode is NamespaceMode.POD:
        _check_pods(uids, f"{field}.uids")
        _check_pods(gids, f"{field}.gids")
    return UserNamespace(mode, uids, gids)


def _check_pods(given: tuple[IdMapping, ...], field: str) -> None:
    """A pod's ids are one range that begins with its root, as a kubelet gives it and every runtime takes it.

    The node's root must not be in it: that is the one id which the namespace is there to take away.
    """
    if len(given) != 1:
        raise InvalidArgument(f"{field}: {len(given)} mappings with mode POD; give one, or mode NODE without any")
    mapping = given[0]
    if mapping.container_id != 0:
        raise InvalidArgument(f"{field}: container_id {mapping.container_id}; give 0, the root of the pod")
    if mapping.host_id == 0:
        raise InvalidArgument(f"{field}: host_id 0 is the root of the node; give ids that nobody has there")


def _pod_or_node(number: int, field: str) -> NamespaceMode:
    mode = fields.choice(number, _MODES, field)
    if mode not in (NamespaceMode.POD, NamespaceMode.NODE):
        raise InvalidArgument(f"{field}: {mode} has no meaning here; give POD or NODE")
    return mode
