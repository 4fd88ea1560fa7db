"""Which namespaces a container joins, gets of its own, or shares with the node (namespaces(7)).

Network, IPC and UTS are the pod's affair, PID also the container's. Mount and cgroup namespaces are always new; the
cgroup one hides the host's tree and its files (CVE-2023-25809).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from criserver.errors import FailedPrecondition, Internal, InvalidArgument
from criserver.model.security import IdMapping, NamespaceMode, UserNamespace
from criserver.spec.wish import SpecWish

_OPTIONS = "config.linux.security_context.namespace_options"


def namespaces(wish: SpecWish) -> list[dict[str, str]]:
    """linux.namespaces; a kind that is not listed is the node's."""
    _check_agreement(wish)
    pod = wish.sandbox.security.namespace_options
    result = [{"type": "mount"}]
    if wish.host.cgroup_namespaces:
        result.append({"type": "cgroup"})
    if wish.user_namespace:
        result.append({"type": "user", "path": _path(wish, "user")})
    if pod.network is not NamespaceMode.NODE:
        result.append({"type": "network", "path": _path(wish, "net")})
    if pod.ipc is not NamespaceMode.NODE:
        result.append({"type": "ipc", "path": _path(wish, "ipc")})
    # A host-network pod has the node's name, so it needs no UTS namespace, but may have one.
    if pod.network is not NamespaceMode.NODE or "uts" in wish.namespaces:
        result.append({"type": "uts", "path": _path(wish, "uts")})
    return result + _pid(wish)


def id_mappings(wish: SpecWish) -> dict[str, list[dict[str, int]]]:
    """linux.uidMappings and gidMappings of the pod's user namespace; empty without one."""
    userns = wish.sandbox.security.namespace_options.own_userns
    if userns is None:
        return {}
    return {"uidMappings": mappings(userns.uids), "gidMappings": mappings(userns.gids)}


def mappings(given: Sequence[IdMapping]) -> list[dict[str, int]]:
    """Id mappings as the OCI document writes them."""
    return [{"containerID": m.container_id, "hostID": m.host_id, "size": m.length} for m in given]


def maps(userns: UserNamespace | None, gid: int) -> bool:
    """Whether a group id exists inside the pod: always, unless a user namespace leaves it out."""
    if userns is None or userns.mode is not NamespaceMode.POD:
        return True
    return any(m.container_id <= gid < m.container_id + m.length for m in userns.gids)


def _pid(wish: SpecWish) -> list[dict[str, str]]:
    mode = wish.config.security.namespace_options.pid
    if mode is NamespaceMode.NODE:
        return []
    if mode is NamespaceMode.CONTAINER:
        return [{"type": "pid"}]
    if mode is NamespaceMode.POD and wish.sandbox.security.namespace_options.pid is not NamespaceMode.POD:
        raise FailedPrecondition(
            f"{_OPTIONS}.pid: POD, but the pod sandbox has pid {wish.sandbox.security.namespace_options.pid} and so no "
            "PID namespace to share; give CONTAINER, or POD for the sandbox too"
        )
    return [{"type": "pid", "path": _path(wish, "pid")}]


def _check_agreement(wish: SpecWish) -> None:
    own, pod = wish.config.security.namespace_options, wish.sandbox.security.namespace_options
    if own.userns is not None and own.own_userns != pod.own_userns:
        raise InvalidArgument(
            f"{_OPTIONS}.userns_options: other than those of the pod sandbox, which its containers share; give the same"
        )
    _check_user(wish)
    for kind, asked, given in (("network", own.network, pod.network), ("ipc", own.ipc, pod.ipc)):
        if given not in (NamespaceMode.POD, NamespaceMode.NODE):
            raise InvalidArgument(f"the pod sandbox's namespace_options.{kind}: {given}; give POD or NODE")
        if asked is NamespaceMode.NODE and given is not NamespaceMode.NODE:
            raise InvalidArgument(
                f"{_OPTIONS}.{kind}: NODE, but the pod sandbox has {given}; give the sandbox NODE too"
            )


def _check_user(wish: SpecWish) -> None:
    """Every id of the container's user exists in the pod: the runtime could not become it otherwise."""
    userns = wish.sandbox.security.namespace_options.own_userns
    if userns is None:
        return
    groups = (wish.user.gid, *wish.user.additional_gids)
    for kind, ids, given in (("user", (wish.user.uid,), userns.uids), ("group", groups, userns.gids)):
        for each in ids:
            if not any(m.container_id <= each < m.container_id + m.length for m in given):
                count = sum(m.length for m in given)
                raise InvalidArgument(
                    f"the container's {kind} id {each} is not mapped in the pod's user namespace, which has "
                    f"{count} ids; map more, or give a smaller one in the security context or the image"
                )


def _path(wish: SpecWish, kind: str) -> str:
    try:
        return wish.namespaces[kind]
    except KeyError:
        raise Internal(f"pod sandbox {wish.sandbox_id}: its {kind} namespace is not there to join") from None


def describe(wish: SpecWish) -> dict[str, Any]:
    """The namespace keys of the document's linux part."""
    return {"namespaces": namespaces(wish), **id_mappings(wish)}
