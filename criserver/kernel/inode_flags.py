"""The flags of files and directories that chattr(1) shows (ioctl_iflags(2)). Blocks; OSError as it comes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

FS_IMMUTABLE_FL, FS_APPEND_FL, FS_TOPDIR_FL = 0x10, 0x20, 0x20000
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602


def change_flags(fd: int, *, add: int = 0, remove: int = 0) -> None:
    """Give the open file or directory the flags `add` and take `remove` from it."""
    (flags,) = struct.unpack("i", fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(4)))
    if (changed := flags & ~remove | add) != flags:
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("i", changed))


def spread_children(directory: str) -> None:
    """Tell the file system that the trees in `directory` have nothing to do with each other.

    ext4 then makes each where the disk is emptiest, rather than all where the directory is: so a new tree need not
    search a table of inodes that others, there or just removed, have filled (without a journal, inodes are not used
    again for minutes). Other file systems know no such hint, which is fine.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            change_flags(fd, add=FS_TOPDIR_FL)
    finally:
        os.close(fd)
