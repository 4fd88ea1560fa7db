"""Names of cgroups for the cgroupfs and the systemd driver, as pure functions.

cgroupfs: a parent is an absolute path ("/kubepods/pod1"), a container's cgroup "<parent>/criserver-<id>".
systemd: a parent is a slice, by name or path, whose name spells out its ancestors ("kubepods-pod1.slice" is within
"kubepods.slice"; systemd.slice(5)); runtimes take "slice:prefix:name" and make the unit "prefix-name.scope".
"""

from __future__ import annotations

from criserver.errors import InvalidArgument

PREFIX = "criserver"
# The parent of pods whose caller names none; ours, so it goes when it is empty.
PODS = "criserver-pods"

_MAX_NAME = 255  # bytes; cgroupfs takes more, but then the cgroup has a name that no other file system can hold


def check_cgroupfs_parent(parent: str) -> None:
    """InvalidArgument unless the name can be a cgroup path that stays below the hierarchy's top."""
    _check_text(parent)
    if parent.endswith(".slice"):
        raise InvalidArgument(f"cgroup_parent {parent!r} is a systemd slice, but the cgroup driver is cgroupfs")
    if not parent.strip("/"):
        raise InvalidArgument(f"cgroup_parent {parent!r} is the top of the hierarchy: name a cgroup below it")


def check_systemd_parent(parent: str) -> None:
    """InvalidArgument unless the last part of the name is a slice that systemd would accept."""
    _check_text(parent)
    expand_slice(parent)


def _check_text(parent: str) -> None:
    parts = parent.split("/")
    if ".." in parts or "." in parts:
        raise InvalidArgument(f"cgroup_parent {parent!r} must not have . or .. in it")
    if not parent.isprintable() or ":" in parent or any(len(part.encode()) > _MAX_NAME for part in parts):
        raise InvalidArgument(f"cgroup_parent {parent!r} has a colon, control characters or an overlong name")


def expand_slice(name: str) -> str:
    """The cgroup path of a slice, "a-b.slice" → "/a.slice/a-b.slice"; InvalidArgument when it is not a slice name."""
    unit = name.rstrip("/").rpartition("/")[2]
    stem = unit.removesuffix(".slice")
    parts = stem.split("-")
    if stem == unit or "" in parts:
        raise InvalidArgument(f"cgroup_parent {name!r} must end in the name of a slice, such as kubepods-pod1.slice")
    return "".join(f"/{'-'.join(parts[:end])}.slice" for end in range(1, len(parts) + 1))


def unit_name(slice_path: str) -> str:
    """The slice's own name, of a slice by name or path."""
    return slice_path.rstrip("/").rpartition("/")[2]


def directory(name: str) -> str:
    """The path within a hierarchy of whatever this module names: a path, a slice, or "slice:prefix:name"."""
    if name.count(":") == 2:
        parent, prefix, scope = name.split(":")
        return f"{expand_slice(parent)}/{prefix}-{scope}.scope"
    if name.endswith(".slice"):
        return expand_slice(name)
    return "/" + name.strip("/")
