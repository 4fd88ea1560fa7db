"""oom_score_adj of processes that run already (proc_pid_oom_score_adj(5))."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

_GONE = (errno.ENOENT, errno.ESRCH)


def change(pids: Callable[[], frozenset[int]], before: int, after: int) -> int:
    """Set `after` where it is still `before`; returns for how many. A process that chose for itself keeps its choice.

    `pids` is asked again until no further process has `before`, since children inherit it: a bounded number of times.
    Which process is written is decided by its open directory and a second look, so a pid used again is never hit.
    OSError with EACCES for a value below the daemon's own without CAP_SYS_RESOURCE.
    """
    changed = 0
    for _ in range(10):
        turn = _change_once(pids, before, after)
        changed += turn
        if not turn:
            break
    return changed


def _change_once(pids: Callable[[], frozenset[int]], before: int, after: int) -> int:
    opened = {pid: fd for pid in pids() - {0} if (fd := _open(pid)) >= 0}
    try:
        alive = pids()
        return sum(_change_one(fd, before, after) for pid, fd in opened.items() if pid in alive)
    finally:
        for fd in opened.values():
            os.close(fd)


def _open(pid: int) -> int:
    try:
        return os.open(f"/proc/{pid}/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _GONE:
            return -1
        raise


def _change_one(fd: int, before: int, after: int) -> bool:
    try:
        if int(os.pread(fd, 16, 0)) != before:
            return False
        os.write(fd, str(after).encode())
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise
    return True
