"""All mounts of a container, in order: what every container has, the pod's files, image volumes, and the request's.

A mount of the request counts more than an image volume, that more than a mount of the configuration, that more than a
file of the pod, and that more than a default at the same place. How one mount of the request becomes an OCI mount is
in `binds.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from criserver.errors import Internal
from criserver.model.security import NamespaceMode
from criserver.spec import binds, checks, devices, namespaces, security
from criserver.spec.wish import SpecWish

OciMount = dict[str, Any]

_HARDENED = ["nosuid", "noexec", "nodev"]
_TTY_GROUP = 5
_SCRATCH = ("/run", "/tmp", "/var/tmp")


def mounts(wish: SpecWish) -> list[OciMount]:
    """`mounts` of the document: defaults first, then the others, a parent before what lies in it."""
    asked = _asked(wish)
    _, label = security.selinux_labels(wish)
    ours = (*_pod_files(wish), *_configured(wish), *_devices(wish), *_volumes(wish), *asked)
    added = {mount["destination"]: mount for mount in ours}
    kept = [mount for mount in defaults(wish, label) if not _covered(mount["destination"], added)]
    return kept + sorted(added.values(), key=lambda mount: str(mount["destination"]).count("/"))


def volume_destinations(volumes: Iterable[str]) -> tuple[str, ...]:
    """Where an image's VOLUMEs lie, each once, in normal form; InvalidArgument for what may not be mounted over."""
    return tuple(sorted({binds.destination(path, "the image's VOLUME") for path in volumes}))


def defaults(wish: SpecWish, label: str) -> list[OciMount]:
    """What every Linux container has (config-linux.md, "Default Filesystems"), and mqueue and cgroups."""
    access = [] if wish.config.security.privileged else ["ro"]
    pts = [f"gid={_TTY_GROUP}"] if namespaces.maps(wish.sandbox.security.namespace_options.userns, _TTY_GROUP) else []
    context = [f'context="{label}"'] if label else []
    dev = ["nosuid", "strictatime", "mode=755", "size=65536k", *context]
    return [
        _filesystem("/proc", "proc", _HARDENED, host=_pid_of_node(wish)),
        _filesystem("/dev", "tmpfs", dev),
        _filesystem(
            "/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *pts, *context]
        ),
        _filesystem("/dev/mqueue", "mqueue", _HARDENED, host=_ipc_of_node(wish)),
        _filesystem("/sys", "sysfs", [*_HARDENED, *access], host=_network_of_node(wish)),
        _filesystem("/sys/fs/cgroup", "cgroup", [*_HARDENED, "relatime", *access]),
    ]


def _filesystem(path: str, kind: str, options: list[str], *, host: bool = False) -> OciMount:
    """A fresh file system, or, where a user namespace forbids to mount one of the node's, the node's own bound."""
    if host:
        return {"destination": path, "type": "bind", "source": path, "options": ["rbind", "rprivate", *options]}
    return {"destination": path, "type": kind, "source": kind, "options": options}


def _pid_of_node(wish: SpecWish) -> bool:
    return wish.user_namespace and wish.config.security.namespace_options.pid is NamespaceMode.NODE


def _ipc_of_node(wish: SpecWish) -> bool:
    return wish.user_namespace and wish.sandbox.security.namespace_options.ipc is NamespaceMode.NODE


def _network_of_node(wish: SpecWish) -> bool:
    return wish.user_namespace and wish.sandbox.host_network


def _pod_files(wish: SpecWish) -> list[OciMount]:
    files = wish.files
    access = ["ro"] if wish.config.security.readonly_rootfs else ["rw"]
    named = (("/etc/hosts", files.hosts), ("/etc/resolv.conf", files.resolv_conf), ("/etc/hostname", files.hostname))
    result = [_bind(path, source, [*_HARDENED, *access]) for path, source in named if source]
    if files.shm:
        result.append(_bind("/dev/shm", files.shm, [*_HARDENED, "rw"]))
    return result


def _configured(wish: SpecWish) -> list[OciMount]:
    """Of the configuration; roots that it makes read-only get places to write, with what the image has there."""
    scratch = _SCRATCH if wish.policy.readonly_rootfs and not wish.config.security.readonly_rootfs else ()
    fresh = [_filesystem(path, "tmpfs", [*_HARDENED, "rw", "tmpcopyup"]) for path in scratch]
    return [*fresh, *(_bind(mount.destination, mount.source, list(mount.options)) for mount in wish.policy.mounts)]


def _devices(wish: SpecWish) -> list[OciMount]:
    bound = devices.bound(wish).items()
    return [_bind(path, source, ["nosuid", "noexec", "rw"]) for path, source in bound]


def _volumes(wish: SpecWish) -> list[OciMount]:
    return [_bind(binds.destination(path, "the image's VOLUME"), source, ["rw"]) for path, source in wish.volumes]


def _bind(path: str, source: str, options: list[str]) -> OciMount:
    return {"destination": path, "type": "bind", "source": source, "options": ["rbind", "rprivate", *options]}


def _asked(wish: SpecWish) -> list[OciMount]:
    missing = {mount.container_path for mount in wish.config.mounts} - {m.mount.container_path for m in wish.mounts}
    if missing:
        raise Internal(f"mounts {', '.join(sorted(missing))} of the request were not resolved")
    shared = wish.config.security.namespace_options.pid in (NamespaceMode.POD, NamespaceMode.TARGET)
    return [binds.bind(resolved, wish.host, joins_pid=shared) for resolved in wish.mounts]


def _covered(default: str, added: Iterable[str]) -> bool:
    """Whether a default mount gives way: the same place is mounted, or all of /dev or /sys is given."""
    return any(default == path or (path in ("/dev", "/sys") and checks.beneath(default, path)) for path in added)
