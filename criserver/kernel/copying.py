"""Copying a directory tree that an image has filled: files, directories and links, with all that is true of them.

What a tree can do to its copier is bounded: no link is followed, fifos, sockets and devices are left out, holes stay
holes and hard links stay links (so the copy is no larger than the tree), and depth has a limit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

LEVELS = 100
"""Most directories within each other: each level holds two descriptors, and no image nests so deep."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 8 << 20


def copy_tree(source: int, target: str) -> None:
    """Copy what is in the directory of descriptor `source` into the empty directory `target`; blocks.

    Owners, modes, times and extended attributes are kept, those of the directory itself as well. OSError as it comes;
    ELOOP when the tree is deeper than LEVELS. What was copied until then stays. Nobody else may write to either.
    """
    top = os.open(target, _DIRECTORY)
    try:
        _Copy(top).directory(source, top, "", 1)
    finally:
        os.close(top)


class _Copy:
    """One copy, which knows where it has put files that have further names."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._linked: dict[tuple[int, int], str] = {}

    def directory(self, source: int, target: int, where: str, level: int) -> None:
        """Copy the entries of `source`, then what is true of it: writing the entries changes its times."""
        for name in os.listdir(source):
            status = os.lstat(name, dir_fd=source)
            if stat.S_ISDIR(status.st_mode):
                self._child(source, target, name, where, level)
            elif stat.S_ISREG(status.st_mode):
                self._file(source, target, name, where)
            elif stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
                os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)
        _keep_attributes(source, target)

    def _child(self, source: int, target: int, name: str, where: str, level: int) -> None:
        if level >= LEVELS:
            raise OSError(errno.ELOOP, f"directories are nested deeper than {LEVELS}", name)
        os.mkdir(name, 0o700, dir_fd=target)
        with contextlib.ExitStack() as held:
            opened = []
            for parent in (source, target):
                opened.append(os.open(name, _DIRECTORY, dir_fd=parent))
                held.callback(os.close, opened[-1])
            self.directory(opened[0], opened[1], f"{where}{name}/", level + 1)

    def _file(self, source: int, target: int, name: str, where: str) -> None:
        with open(os.open(name, _READ, dir_fd=source), "rb", buffering=0) as old:
            status = os.fstat(old.fileno())
            identity = status.st_dev, status.st_ino
            if earlier := self._linked.get(identity):
                os.link(earlier, name, src_dir_fd=self._top, dst_dir_fd=target, follow_symlinks=False)
                return
            with open(os.open(name, _CREATE, 0o600, dir_fd=target), "wb", buffering=0) as new:
                _copy_data(old.fileno(), new.fileno(), status.st_size)
                _keep_attributes(old.fileno(), new.fileno())
        if status.st_nlink > 1:
            self._linked[identity] = where + name


def _copy_data(source: int, target: int, size: int) -> None:
    """Copy the regions that hold data (lseek(2), SEEK_DATA)."""
    os.ftruncate(target, size)
    position = 0
    while position < size:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # Only a hole is left.
                return
            raise
        end = min(os.lseek(source, position, os.SEEK_HOLE), size)
        os.lseek(target, position, os.SEEK_SET)
        while position < end:
            sent = os.sendfile(target, source, position, min(end - position, _CHUNK))
            if not sent:
                raise OSError(errno.EIO, "the file became shorter while it was copied")
            position += sent


def _keep_attributes(source: int, target: int) -> None:
    """Give `target` what is true of `source`, in this order: chown(2) takes set-id bits and capabilities away."""
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
