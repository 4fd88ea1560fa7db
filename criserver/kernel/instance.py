"""One server per directory: a lock that the kernel holds for exactly as long as the process lives (flock(2))."""

from __future__ import annotations

import fcntl
import os

from criserver.errors import FailedPrecondition


def claim(directory: str) -> int:
    """Make `directory` (0700) and lock it for this process; the returned descriptor holds the lock until it is closed.

    FailedPrecondition names the pid of the server that has it.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    fd = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 32).decode("ascii", "replace").strip()
        os.close(fd)
        raise FailedPrecondition(
            f"{directory} is in use by the server with pid {holder or 'unknown'}: stop it, or choose another directory"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
