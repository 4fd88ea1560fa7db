"""One server per directory and per socket: locks that the kernel holds for as long as the process lives (flock(2))."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct

from criserver.errors import FailedPrecondition


def claim(directory: str) -> int:
    """Make `directory` (0700) and lock it for this process; the returned descriptor holds the lock until it is closed.

    FailedPrecondition names the pid of the server that has it.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    return _lock(os.path.join(directory, "lock"), f"{directory} is in use by", "directory")


def claim_socket(path: str) -> int:
    """Lock the unix socket that is to be bound at `path`, and make its directory; the descriptor holds the lock.

    FailedPrecondition names the pid of whoever listens there, a server of another kind included. What a dead one left
    is removed.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    fd = _lock(_socket_lock(path), f"{path} is listened on by", "socket")
    holder = listener(path)
    if holder is not None:
        os.close(fd)
        raise FailedPrecondition(_taken(f"{path} is listened on by", str(holder or ""), "socket"))
    if os.path.lexists(path):
        os.unlink(path)
    return fd


def leave_socket(path: str) -> None:
    """Take away what `claim_socket` has left beside the socket; whoever waits for the lock makes it anew."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_socket_lock(path))


def _socket_lock(path: str) -> str:
    return f"{path}.lock"


def _lock(path: str, taken: str, kind: str) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip()
            os.close(fd)
            raise FailedPrecondition(_taken(taken, holder, kind)) from None
        if _is_at(fd, path):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            return fd
        os.close(fd)  # an ending server has just taken it away: the lock of a file that nobody finds is worth nothing


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _taken(taken: str, holder: str, kind: str) -> str:
    return f"{taken} the server with pid {holder or 'unknown'}: stop it, or choose another {kind}"


def listener(path: str) -> int | None:
    """The pid that listens on a unix socket (SO_PEERCRED, unix(7)), 0 when it does not say; None: nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as end:
        try:
            end.connect(path)
        except BlockingIOError:
            return 0  # its queue of connections is full
        except OSError:
            return None
        pid: int = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid
