"""Files of our own, written so that a reader or a crash never finds half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile

from criserver.kernel import libc


def write_atomic(path: str, data: bytes, mode: int = 0o600, *, durable: bool = False) -> None:
    """Replace the file at `path` by one of `data` and `mode`, whole or not at all (rename(2)).

    `durable` makes it survive a power loss, at the price of two disk flushes. Blocks; OSError as it comes, with no
    temporary file left.
    """
    directory = os.path.dirname(path)
    fd, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=directory)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            os.fchmod(fd, mode)
            if durable:
                file.flush()
                os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable:
        sync_directory(directory)


def make_private(directory: str) -> None:
    """Make a directory (0700) and those above it that are missing, which os.makedirs would open to others. Blocks."""
    parent = os.path.dirname(directory)
    if parent and not os.path.isdir(parent):
        make_private(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, 0o700)


def remove(path: str) -> None:
    """Remove a file; a missing one is fine. Blocks."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def flush_filesystem(path: str) -> None:
    """Write to disk what the file system of the directory `path` still has in memory (syncfs(2)).

    Blocks; write errors since the last time come out here as OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc.syncfs(fd)
    finally:
        os.close(fd)


def sync_directory(path: str) -> None:
    """Write the names in a directory to disk (fsync(2)). Blocks."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
