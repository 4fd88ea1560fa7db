"""One mount of the request as an OCI mount: source, access, propagation, options, id mappings; and every refusal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.model.container import Mount, Propagation
from criserver.model.host import SourcePropagation
from criserver.model.security import IdMapping
from criserver.spec import checks, namespaces
from criserver.spec.wish import HostFacts, ResolvedMount

_FLAGS: dict[Propagation, str] = {
    Propagation.PRIVATE: "rprivate",
    Propagation.HOST_TO_CONTAINER: "rslave",
    Propagation.BIDIRECTIONAL: "rshared",
}
_SOURCES: dict[Propagation, frozenset[SourcePropagation]] = {
    Propagation.PRIVATE: frozenset(SourcePropagation),
    Propagation.HOST_TO_CONTAINER: frozenset({SourcePropagation.SLAVE, SourcePropagation.SHARED}),
    Propagation.BIDIRECTIONAL: frozenset({SourcePropagation.SHARED}),
}
# Files of procfs that a bind mount may hide, as lxcfs does; the runtimes allow just these.
_PROC_FILES = frozenset(
    checks.words(
        "cpuinfo diskstats loadavg meminfo net/dev slabinfo stat swaps sys/crypto/fips_enabled sys/kernel/ns_last_pid "
        "uptime",
        prefix="/proc/",
    )
)
_OPTIONS = frozenset(
    checks.words(
        "async atime dev diratime dirsync exec noatime nodev nodiratime noexec norelatime nostrictatime nosuid "
        "nosymfollow relatime ro rw strictatime suid sync symfollow"
    )
)


def bind(resolved: ResolvedMount, host: HostFacts, *, joins_pid: bool = False) -> dict[str, Any]:
    """The OCI mount of a resolved CRI Mount (runtime-spec config.md, "mounts").

    An image volume is mounted with the pod's ids already, whatever mappings it names; others are mapped by the runtime.
    `joins_pid`: the container gets a PID namespace that is there already, see `halves`.
    InvalidArgument for what has no meaning, FailedPrecondition for what host or runtime cannot do.
    """
    mount = resolved.mount
    path = destination(mount.container_path, "mounts.container_path")
    source = checks.absolute_path(resolved.source, f"source of mount {path}")
    _check_propagation(resolved, path)
    result: dict[str, Any] = {
        "destination": path,
        "type": "bind",
        "source": source,
        "options": ["rbind", _FLAGS[mount.propagation], *_access(mount, host, path), *_options(mount, path)],
    }
    if mount.image is None and (mount.uid_mappings or mount.gid_mappings):
        if not host.idmapped_mounts:
            raise FailedPrecondition(
                f"mount {path}: uidMappings and gidMappings need idmapped mounts, which the kernel or the runtime of "
                "this handler lacks; use a newer runtime, or a pod without a user namespace"
            )
        if host.maps_single_mounts and resolved.below:
            raise FailedPrecondition(
                f"mount {path}: with {resolved.below[0]} mounted in its source, which the runtime of this handler "
                "leaves out of a mount with mapped ids (crun before 1.9), so that files would go below it; use a newer "
                "runtime, or a pod without a user namespace"
            )
        result["uidMappings"] = namespaces.mappings(halves(mount.uid_mappings) if joins_pid else mount.uid_mappings)
        result["gidMappings"] = namespaces.mappings(halves(mount.gid_mappings) if joins_pid else mount.gid_mappings)
    return result


def halves(given: Sequence[IdMapping]) -> tuple[IdMapping, ...]:
    """The same mappings in other words: the first one in two.

    crun before 1.8.6 maps a mount by the container's own user namespace when the two have equal mappings, and when
    the container joins a PID namespace it takes the host's for that one and fails; for others it makes one.
    """
    first, *rest = given
    half = first.length // 2
    if not half:
        return tuple(given)
    second = IdMapping(first.host_id + half, first.container_id + half, first.length - half)
    return (replace(first, length=half), second, *rest)


def destination(path: str, field: str) -> str:
    """Where a mount may lie, in normal form: not the root, and not on procfs (CVE-2019-16884, CVE-2023-27561)."""
    normal = checks.absolute_path(path, field)
    if normal == "/":
        raise InvalidArgument(f"{field}: {path!r} is the container's root; give a path below it")
    if checks.beneath(normal, "/proc") and normal not in _PROC_FILES:
        raise InvalidArgument(
            f"{field}: {path!r} lies on /proc, which nothing may hide; give another path, such as /host{normal}"
        )
    return normal


def rootfs_propagation(mounts: Iterable[Mount]) -> str:
    """linux.rootfsPropagation that lets every mount propagate as asked; empty for the runtime's default."""
    asked = {mount.propagation for mount in mounts}
    if Propagation.BIDIRECTIONAL in asked:
        return "rshared"
    return "rslave" if Propagation.HOST_TO_CONTAINER in asked else ""


def _access(mount: Mount, host: HostFacts, path: str) -> list[str]:
    if mount.image is not None:
        return ["ro", "nosuid", "nodev", "noexec"]  # as KEP-4639 has it; mount_options come after, and may say exec
    if not mount.recursive_read_only:
        return ["ro"] if mount.readonly else ["rw"]
    if not mount.readonly:
        raise InvalidArgument(f"mount {path}: recursive_read_only without readonly; set readonly too")
    if mount.propagation is not Propagation.PRIVATE:
        raise InvalidArgument(f"mount {path}: recursive_read_only with propagation {mount.propagation}; give PRIVATE")
    if not host.recursive_read_only:
        raise FailedPrecondition(
            f"mount {path}: recursive_read_only is not supported by the kernel or the runtime of this handler; "
            "use readonly alone, or a handler that lists the feature"
        )
    return ["ro", "rro"]


def _options(mount: Mount, path: str) -> list[str]:
    readonly = mount.readonly or mount.image is not None
    for option in mount.mount_options:
        if option not in _OPTIONS:
            raise InvalidArgument(
                f"mount {path}: mount_options {option!r} is not an option of a bind mount; "
                "give one such as noexec, nodev, nosuid"
            )
        if option == "rw" and readonly:
            raise InvalidArgument(f"mount {path}: mount_options rw, but the mount is read-only; remove one of them")
    return list(mount.mount_options)


def _check_propagation(resolved: ResolvedMount, path: str) -> None:
    wanted, source = resolved.mount.propagation, resolved.source_propagation
    if source not in _SOURCES[wanted]:
        raise FailedPrecondition(
            f"mount {path}: propagation {wanted}, but {resolved.source} lies on a {source} mount of the host; "
            "make that mount shared (mount --make-rshared), or ask for PRIVATE"
        )
