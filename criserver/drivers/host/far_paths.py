"""Which paths of the host lead through a file system that may never answer: a server on the network, a FUSE process.

Looked up without touching any such file system: link by link, each on a mount whose kind is known to be the kernel's
own. So the looking itself cannot hang.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping

from criserver.spec.checks import words

# Kinds that are served by the kernel from memory or a local disk; whatever is not named here may hang.
NEAR = frozenset(
    words(
        "bcachefs bpf btrfs cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs erofs exfat ext2 ext3 "
        "ext4 f2fs hugetlbfs iso9660 jfs minix mqueue nilfs2 nsfs ntfs3 overlay proc pstore ramfs reiserfs rootfs "
        "securityfs selinuxfs squashfs sysfs tmpfs tracefs udf vfat xfs zfs"
    )
)
_MAX_LINKS = 40  # as in path_resolution(7)


def far(path: str, types: Mapping[str, str], *, below: bool = False) -> str:
    """The mount point that `path` leads through and that may not answer; "" when there is none.

    `types`: mount point → kind of what is mounted there last. `below`: what is mounted below the path counts too.
    Links of procfs count as far: they lead to places that their text does not tell.
    """
    done, rest, links = "/", _parts(path), 0
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        here = posixpath.dirname(done) if part == ".." else posixpath.join(done, part)
        point = _holding(here, types)
        if types[point] not in NEAR:
            return point
        target = _link(here)
        if target and (types[point] == "proc" or links == _MAX_LINKS):
            return point if types[point] == "proc" else ""
        if target:
            links += 1
            done, rest = "/" if target.startswith("/") else done, rest + _parts(target)
        else:
            done = here
    beneath = (point for point in types if below and point.startswith(done.rstrip("/") + "/"))
    return next((point for point in beneath if types[point] not in NEAR), "")


def _parts(path: str) -> list[str]:
    return path.split("/")[::-1]


def _holding(path: str, types: Mapping[str, str]) -> str:
    while path not in types and path != "/":
        path = posixpath.dirname(path)
    return path


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""  # No link, or nothing at all: what is missing leads nowhere.
