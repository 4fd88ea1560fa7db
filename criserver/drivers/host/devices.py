"""Device nodes of the host, looked up by path."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from criserver.model.host import HostDevice

# What is not handed on: terminals that belong to somebody, and what the runtime mounts itself.
SKIPPED = frozenset({"/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/console", "/dev/ptmx"})


def at(path: str) -> tuple[HostDevice, ...]:
    """The device that `path` is or leads to, or those of the directory that it is. OSError when it is missing."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        return tuple(walk(path))
    return _device(path, status)


def walk(directory: str) -> Iterator[HostDevice]:
    """Every device below a directory; links are not followed, and what is unplugged meanwhile is not there."""
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.path in SKIPPED or entry.is_symlink():
                continue
            if entry.is_dir():
                yield from walk(entry.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    yield from _device(entry.path, entry.stat(follow_symlinks=False))


def _device(path: str, status: os.stat_result) -> tuple[HostDevice, ...]:
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if not kind:
        return ()
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return (HostDevice(path, kind, major, minor, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid),)
