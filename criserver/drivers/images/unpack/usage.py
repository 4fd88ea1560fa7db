"""What a complete tree takes on disk, and the record by which it is known again. Reads only.

The record is a digest over path, kind, mode, owner, size, time and device number of every file, in order. It tells that
something was added, lost, cut short, replaced or written to since the layer was unpacked; not that a disk returns other
bytes than were written, which only a file system with checksums can tell. Making it costs what one lstat(2) per file
costs, and that is paid for the usage anyway.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import NamedTuple


class Usage(NamedTuple):
    """Bytes on disk and number of files, hard links counted once, as du(1) counts; `record` is the digest of the rest.

    "sha256-1:" begins it: the number tells what is in it, for when that changes.
    """

    size: int
    inodes: int
    record: str


def usage(root: bytes = b".") -> Usage:
    """The usage of the tree at `root`, `root` included."""
    top = os.lstat(root)
    size, inodes = top.st_blocks * 512, 1
    digest = hashlib.sha256(_line(b"", top))
    linked: set[int] = set()
    stack = [root]
    while stack:
        directory = stack.pop()
        lines: list[bytes] = []
        with os.scandir(directory) as found:
            children = sorted(found, key=_name)
        for child in children:
            status = child.stat(follow_symlinks=False)
            lines.append(_line(child.name, status))
            if stat.S_ISDIR(status.st_mode):
                stack.append(child.path)
            elif status.st_nlink > 1:
                if status.st_ino in linked:
                    continue
                linked.add(status.st_ino)
            size += status.st_blocks * 512
            inodes += 1
        digest.update(b"/%b\0%d\0" % (directory[len(root) :], len(lines)))
        digest.update(b"".join(lines))
    return Usage(size, inodes, f"sha256-1:{digest.hexdigest()}")


def _name(entry: os.DirEntry[bytes]) -> bytes:
    return entry.name


def _line(name: bytes, status: os.stat_result) -> bytes:
    # How long a directory is depends on the file system, and on what was in it before.
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return b"%b\0%o %d %d %d %d %d\0" % (
        name, status.st_mode, status.st_uid, status.st_gid, size, status.st_mtime_ns, status.st_rdev,
    )  # fmt: skip
