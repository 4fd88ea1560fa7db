"""The log file of one container: appended to by its monitor alone, reopened when the kubelet has rotated it away.

A full disk costs log text, never the container or the monitor: what cannot be written is dropped and counted, and a
line that was cut is taken back, so that the file stays readable for the kubelet. No rotation in here.
"""

from __future__ import annotations

import os
import stat

from conmon.crilog import Buffers
from conmon.errors import ConmonError

#: writev(2) takes that many buffers on Linux (UIO_MAXIOV).
IOV_MAX = 1024
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_MODE = 0o640


def open_log(path: str) -> tuple[int, bool]:
    """A descriptor for *path* and whether this call made the file. Raises ConmonError naming the path and the reason.

    No symbolic link and no fifo or device is opened in its place (the directory may be writable by others).
    """
    try:
        try:
            return os.open(path, _FLAGS | os.O_EXCL, _MODE), True
        except FileExistsError:
            fd = os.open(path, _FLAGS, _MODE)
    except OSError as error:
        raise ConmonError(f"cannot open log file {path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ConmonError(f"cannot open log file {path}: not a regular file")
    return fd, False


class LogFile:
    """Where a container's formatted log goes."""

    def __init__(self, fd: int) -> None:
        """Take over *fd*, from ``open_log``."""
        self._fd = fd
        #: Bytes that could not be written, since the start.
        self.dropped = 0

    def write(self, buffers: Buffers) -> None:
        """Append *buffers*; what does not fit is dropped and counted. Never raises OSError."""
        for at in range(0, len(buffers), IOV_MAX):
            part = buffers[at : at + IOV_MAX]
            try:
                written = os.writev(self._fd, part)
            except OSError:
                written = 0
            if written != sum(map(len, part)):
                self.rest(b"".join(part), written)

    def reopen(self, path: str) -> None:
        """Go on in the file that *path* names now. Raises ConmonError, and then goes on in the old one."""
        fd, _ = open_log(path)
        os.close(self._fd)
        self._fd = fd

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def rest(self, data: bytes, written: int) -> None:
        """After a write of *data* that stopped at *written*: try once more, then drop from the last whole line on."""
        size = len(data)
        if written:
            try:
                written += os.write(self._fd, data[written:])
            except OSError:
                pass
        if written == size:
            return
        cut = written - (data.rfind(b"\n", 0, written) + 1)
        try:
            if cut:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - cut)
        except OSError:
            cut = 0
        self.dropped += size - written + cut
