"""Mounts: making, unmaking and listing them (mount(2), umount2(2), proc_pid_mountinfo(5)).

All of these may block on a disk or on a dead server: callers run them through `offload`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from criserver.kernel import libc

MNT_DETACH = 2
MS_BIND = 4096
MS_NODEV = 4
MS_NOEXEC = 8
MS_NOSUID = 2
MS_PRIVATE = 1 << 18
MS_RDONLY = 1
MS_REC = 16384
MS_REMOUNT = 32
MS_SHARED = 1 << 20
MS_SLAVE = 1 << 19
UMOUNT_NOFOLLOW = 8


# Of mount_setattr(2).
MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_IDMAP = 0x100000


@dataclass(frozen=True, slots=True)
class MountInfo:
    """One line of mountinfo: what is mounted where. `device` is "major:minor", `optional` the propagation fields."""

    mount_id: int
    parent_id: int
    device: str
    root: str
    target: str
    options: tuple[str, ...]
    optional: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    """Mount a file system. OSError as in mount(2), naming target and source."""
    libc.mount(source, target, fstype, flags, data)


def bind(source: str, target: str, *, recursive: bool = False) -> None:
    """Make `source` appear at `target` too, with the mounts below it if `recursive`."""
    libc.mount(source, target, "", MS_BIND | (MS_REC if recursive else 0), "")


def bind_mapped(source: str, target: str, userns: str, attributes: int = 0) -> None:
    """Make `source` appear at `target` with its ids mapped as in the user namespace at the path `userns`.

    What id 0 owns there is the namespace's root's here, and so on (mount_setattr(2), MOUNT_ATTR_IDMAP; Linux 5.12, and
    a file system that has it). `attributes` are more MOUNT_ATTR_ flags.
    """
    namespace = os.open(userns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        tree = libc.open_tree(source)
        try:
            libc.mount_setattr(tree, MOUNT_ATTR_IDMAP | attributes, namespace)
            libc.move_mount(tree, target)
        except OSError as error:
            raise OSError(error.errno, error.strerror, source) from None
        finally:
            os.close(tree)
    finally:
        os.close(namespace)


def set_propagation(target: str, propagation: int) -> None:
    """Make the mount at `target` MS_PRIVATE, MS_SLAVE or MS_SHARED, with MS_REC for those below it."""
    libc.mount("", target, "", propagation, "")


def unmount(target: str) -> bool:
    """Unmount everything stacked at `target`; False when nothing was mounted there.

    A mount that is in use is detached: it ends with its last user. Links are not followed.
    """
    found = False
    while _unmount_top(target):
        found = True
    return found


def _unmount_top(target: str) -> bool:
    try:
        libc.umount2(target, UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return False
        if error.errno != errno.EBUSY:
            raise
        libc.umount2(target, UMOUNT_NOFOLLOW | MNT_DETACH)
    return True


def is_mountpoint(path: str) -> bool:
    """Whether another file system is mounted at `path` (a bind mount of the same one is not seen)."""
    try:
        return os.lstat(path).st_dev != os.lstat(os.path.dirname(path)).st_dev
    except FileNotFoundError:
        return False


def mounts() -> tuple[MountInfo, ...]:
    """Every mount of this process's mount namespace, in mount order."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse_mountinfo(file.read())


def types() -> Mapping[str, str]:
    """Mount point → type of the file system that was mounted there last. Cheaper than `mounts`."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.split(" ") for line in file]
    return {_unescape(fields[4]): fields[fields.index("-", 6) + 1] for fields in lines}


def parse_mountinfo(text: str) -> tuple[MountInfo, ...]:
    """The lines of a mountinfo file (proc_pid_mountinfo(5)) as values."""
    return tuple(_parse_line(line) for line in text.splitlines())


def _parse_line(line: str) -> MountInfo:
    fields = line.split(" ")
    separator = fields.index("-", 6)
    fstype, source, super_options = fields[separator + 1 : separator + 4]
    return MountInfo(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        device=fields[2],
        root=_unescape(fields[3]),
        target=_unescape(fields[4]),
        options=tuple(fields[5].split(",")),
        optional=tuple(fields[6:separator]),
        fstype=fstype,
        source=_unescape(source),
        super_options=tuple(super_options.split(",")),
    )


def _unescape(field: str) -> str:
    # The kernel writes space, tab, newline and backslash as three octal digits.
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
