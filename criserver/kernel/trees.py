"""Removing directory trees that a container has filled.

Bounded in memory and descriptors however deep the tree is (a container may nest 100,000 directories), follows no
link and crosses no mount.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Protocol

from criserver.kernel import libc
from criserver.kernel.inode_flags import FS_APPEND_FL, FS_IMMUTABLE_FL, change_flags

# Levels that are descended by open descriptors, two for each. A directory that is deeper still is first moved to the
# top, so each is moved at most once.
_LEVELS = 16

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove the file or directory tree at `path`. Idempotent; blocks.

    OSError with EXDEV when something is mounted in the tree: what is below the mount stays, and the mount's name is
    in the error. Nobody else may write to the tree meanwhile.
    """
    parent, name = os.path.split(os.path.abspath(path))
    try:
        directory = os.open(parent, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        _remove_entry(directory, name)
    finally:
        os.close(directory)


def _remove_entry(parent: int, name: str) -> None:
    if _unlink(parent, name):
        return
    top = _open_directory(parent, name)
    try:
        moved = _Moved(top)
        while not _rmdir(parent, name):
            _clear(top, 0, moved)
    finally:
        os.close(top)


class _Moved:
    """Names for directories that are moved to the top of the tree to be emptied there."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._count = 0

    def take(self, parent: int, name: str) -> None:
        """Move the directory `name` of `parent` to the top under a name that is free there."""
        while True:
            self._count += 1
            try:
                os.rename(name, f".removing-{self._count}", src_dir_fd=parent, dst_dir_fd=self._top)
                return
            except OSError as error:
                # The name was taken by the tree itself; an empty directory of that name is simply replaced.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise


def _clear(directory: int, level: int, moved: _Moved) -> None:
    """Remove what is in the directory; directories too deep are moved instead, for the next round."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                _unlink(directory, entry.name)
            elif not _rmdir(directory, entry.name):
                _clear_child(directory, entry.name, level, moved)


def _clear_child(directory: int, name: str, level: int, moved: _Moved) -> None:
    if level >= _LEVELS:
        moved.take(directory, name)
        return
    child = _open_directory(directory, name)
    try:
        _clear(child, level + 1, moved)
    finally:
        os.close(child)
    _rmdir(directory, name)


def _open_directory(parent: int, name: str) -> int:
    flags = libc.RESOLVE_NO_XDEV | libc.RESOLVE_NO_SYMLINKS | libc.RESOLVE_BENEATH
    try:
        return libc.openat2(parent, name, _DIRECTORY, flags)
    except OSError as error:
        reason = "something is mounted there" if error.errno == errno.EXDEV else error.strerror
        raise _named(error, parent, name, reason) from None


def _named(error: OSError, parent: int, name: str, reason: str | None = None) -> OSError:
    """The error with the whole path, which is looked up only now that somebody wants to know it."""
    return OSError(error.errno, reason or error.strerror, f"{os.readlink(f'/proc/self/fd/{parent}')}/{name}")


def _unlink(parent: int, name: str) -> bool:
    """Remove a file; False for a directory."""
    try:
        _insist(os.unlink, parent, name)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    except OSError as error:
        raise _named(error, parent, name) from None
    return True


def _rmdir(parent: int, name: str) -> bool:
    """Remove a directory; False when it has entries or is a mount point, which opening it will tell."""
    try:
        _insist(os.rmdir, parent, name)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            return False
        raise _named(error, parent, name) from None
    return True


class _Remover(Protocol):
    def __call__(self, path: str, *, dir_fd: int) -> None: ...


def _insist(remove: _Remover, parent: int, name: str) -> None:
    """Remove; where chattr(1)'s +i or +a forbid it even to root, take these flags away and try again."""
    try:
        remove(name, dir_fd=parent)
    except PermissionError:
        _make_mutable(parent)
        if stat.S_IFMT(os.lstat(name, dir_fd=parent).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
            try:
                _make_mutable(fd)
            finally:
                os.close(fd)
        remove(name, dir_fd=parent)


def _make_mutable(fd: int) -> None:
    change_flags(fd, remove=FS_IMMUTABLE_FL | FS_APPEND_FL)
