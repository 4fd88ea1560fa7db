"""Processes by pidfd (pidfd_open(2)): a handle that keeps naming the same process when its pid is used again."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import struct

from criserver.kernel import proc

# Pids of ended processes come back as ids of threads too, which pidfd_open refuses: ENOENT, before Linux 6.15 EINVAL.
_NO_PROCESS = (errno.ESRCH, errno.ENOENT, errno.EINVAL)
# linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info), and its first version: mask, cgroupid, eleven ids, exit_code.
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_PIDFD_INFO = struct.Struct("=QQ11Ii")


def open_pidfd(pid: int, started: int | None = None) -> int | None:
    """A close-on-exec pidfd of process `pid`; None when it has ended.

    With `started` (proc.start_time, clock ticks) also None when that pid is another process by now.
    """
    try:
        fd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in _NO_PROCESS:
            raise
        return None
    if started is not None and proc.start_time(pid) != started:
        os.close(fd)
        return None
    return fd


def send_signal(fd: int, number: int) -> bool:
    """Send signal `number`; False when the process has ended and been waited for."""
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    return True


def exit_status(fd: int) -> int | None:
    """The wait(2) status of a process that has ended and was waited for, whosever child it was.

    None until then, and always before Linux 6.15. The descriptor must be older than the process's end.
    """
    info = bytearray(_PIDFD_INFO.pack(_PIDFD_INFO_EXIT, *([0] * 13)))
    try:
        fcntl.ioctl(fd, _PIDFD_GET_INFO, info)
    except OSError:  # ENOTTY before 6.13, EINVAL, ESRCH
        return None
    known, *_, status = _PIDFD_INFO.unpack(info)
    return status if known & _PIDFD_INFO_EXIT else None


async def ended(fd: int) -> None:
    """Wait in the event loop until the process of `fd` has ended, anybody's child that it may be.

    One waiter per descriptor; the caller keeps the descriptor open meanwhile and closes it after.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(fd, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(fd)
