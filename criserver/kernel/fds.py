"""Opening files below a directory that somebody hostile may have filled, such as a container's root.

Links are resolved as if the directory were "/" (openat2(2), RESOLVE_IN_ROOT), magic links of /proc not at all. Only
regular files are read, and only up to a limit: a fifo would block, a device has effects, a sparse file fills memory
(CVE-2025-4437, CVE-2026-47262).
"""

from __future__ import annotations

import errno
import os
import stat

from criserver.kernel import libc
from criserver.kernel.trees import remove_tree

__all__ = ["open_in_root", "read_in_root", "read_regular", "remove_tree", "walk_in_root"]

# What openat2 fails with where the kernel (before 5.6) or a seccomp filter does not have it.
_MISSING = (errno.ENOSYS, errno.EPERM)
# As many links as the kernel follows in one path (path_resolution(7)).
_MAX_LINKS = 40


def open_in_root(root: str, path: str, flags: int = os.O_PATH) -> int:
    """Open `path` as a process with root directory `root` would; the caller closes the descriptor.

    With flags other than O_PATH the caller must know that it is no fifo or device. OSError as in openat2(2).
    """
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return libc.openat2(top, path, flags, libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS)
    except OSError as error:
        if error.errno not in _MISSING:
            raise
        return walk_in_root(top, path, flags)
    finally:
        os.close(top)


def walk_in_root(top: int, path: str, flags: int) -> int:
    """open_in_root step by step, for kernels without openat2; `top` is a descriptor of the root directory.

    Every step holds a descriptor, so a directory that is moved meanwhile does not lead outside; ".." goes back along
    the steps taken and never asks the file system.
    """
    names = _split(path)
    held = [os.dup(top)]
    links = 0
    try:
        while names:
            name = names.pop()
            if name == "..":
                if len(held) > 1:
                    os.close(held.pop())
                continue
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held[-1])
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                held.append(fd)
                continue
            target = _read_link(fd, path)
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                while len(held) > 1:
                    os.close(held.pop())
            names += _split(target)
        return _reopen(held[-1], flags)
    finally:
        for fd in held:
            os.close(fd)


def _split(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _read_link(fd: int, path: str) -> str:
    try:
        if os.fstat(fd).st_dev == os.stat("/proc").st_dev:  # Magic or not: which, cannot be told without openat2.
            raise OSError(errno.ELOOP, "links of /proc are not followed", path)
        return os.readlink("", dir_fd=fd)  # The empty name is the link itself (readlinkat(2)).
    finally:
        os.close(fd)


def _reopen(fd: int, flags: int) -> int:
    if flags == os.O_PATH:
        return os.dup(fd)
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)


def read_in_root(root: str, path: str, limit: int) -> bytes:
    """The bytes of a regular file, resolved in `root`.

    FileNotFoundError when there is none; OSError with EINVAL when it is no regular file, EFBIG when it is larger
    than `limit` bytes.
    """
    fd = open_in_root(root, path)
    try:
        return read_regular(fd, path, limit)
    finally:
        os.close(fd)


def read_regular(fd: int, path: str, limit: int) -> bytes:
    """As read_in_root, for a descriptor (O_PATH) of the file; `path` is for errors."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    # Only now opened for real: opening a fifo waits for its writer, opening a device may start something.
    with open(f"/proc/self/fd/{fd}", "rb", buffering=0) as file:
        parts: list[bytes] = []
        room = limit + 1
        while room > 0 and (part := file.read(min(room, 1 << 16))):
            parts.append(part)
            room -= len(part)
    if room <= 0:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)
    return b"".join(parts)
