"""What a writable layer takes on disk. A container fills the tree meanwhile, and may mean harm by its shape.

So no link is followed, no mount crossed, no descriptor kept per level; what vanishes is passed over, and a tree with
more entries than any sane one is counted up to there and said to be incomplete.
"""

from __future__ import annotations

import os
import stat

from criserver.kernel import libc
from criserver.model.stats import DiskUsage

MAX_ENTRIES = 2_000_000
MAX_PATH = 4000  # bytes below the top; a path is looked up whole, and the kernel takes PATH_MAX

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STAY = libc.RESOLVE_NO_XDEV | libc.RESOLVE_NO_SYMLINKS | libc.RESOLVE_BENEATH


def measure(directory: str, taken_at: int, *, max_entries: int = MAX_ENTRIES) -> DiskUsage | None:
    """Blocks and inodes of the tree, the top included, hard links counted once, as du(1) counts; None without a tree.

    Blocks for as long as the tree is large.
    """
    try:
        top = os.open(directory, _DIRECTORY)
    except OSError:
        return None
    try:
        return _measure(top, taken_at, max_entries)
    finally:
        os.close(top)


def _measure(top: int, taken_at: int, max_entries: int) -> DiskUsage:
    walk = _Walk(top, max_entries)
    walk.run()
    room, number = os.fstatvfs(top), os.fstat(top).st_dev
    return DiskUsage(
        taken_at=taken_at,
        used=walk.size,
        inodes=walk.inodes,
        complete=walk.complete,
        device=device_name(os.major(number), os.minor(number)),
        capacity=room.f_blocks * room.f_frsize,
        inodes_total=room.f_files,
        inodes_free=room.f_favail,
    )


class _Walk:
    """Sums over one tree."""

    def __init__(self, top: int, max_entries: int) -> None:
        self._top, self._max_entries = top, max_entries
        self._linked: set[int] = set()
        self.size, self.inodes, self.complete = os.fstat(top).st_blocks * 512, 1, True

    def run(self) -> None:
        waiting = ["."]
        while waiting:
            path = waiting.pop()
            try:
                fd = libc.openat2(self._top, path, _DIRECTORY, _STAY)
            except OSError:
                continue  # it is gone, or something is mounted there
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        self._add(entry, path, waiting)
            except OSError:
                continue  # it was removed after it was opened: ENOENT
            finally:
                os.close(fd)
            if self.inodes > self._max_entries:
                self.complete = False
                return

    def _add(self, entry: os.DirEntry[str], path: str, waiting: list[str]) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return
        if stat.S_ISDIR(status.st_mode):
            below = f"{path}/{entry.name}"
            if len(os.fsencode(below)) > MAX_PATH:
                self.complete = False
            else:
                waiting.append(below)
        elif status.st_nlink > 1:
            if status.st_ino in self._linked:
                return
            self._linked.add(status.st_ino)
        self.size += status.st_blocks * 512
        self.inodes += 1


def device_name(major: int, minor: int) -> str:
    """The path of a block device, as metrics name it; its numbers where there is none."""
    numbers = f"{major}:{minor}"
    try:
        return f"/dev/{os.path.basename(os.readlink(f'/sys/dev/block/{numbers}'))}"
    except OSError:
        return numbers
