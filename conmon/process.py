"""Processes as /proc shows them: start times, exit codes, trees, and how to end a tree. Knows nothing of containers."""

from __future__ import annotations

import errno
import os
import signal

from conmon import files


def starttime(pid: int) -> int:
    """Start time of *pid* in clock ticks since boot (proc_pid_stat(5), field 22); 0 when there is no such process.

    pid and start time together name one process for as long as the machine is up.
    """
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def exit_code(status: int) -> tuple[int, int]:
    """``(exit_code, signal)`` of a wait(2) status, as shells count: 128 + signal for a killed process."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status), os.WTERMSIG(status)
    return os.WEXITSTATUS(status), 0


def descendants(root: int) -> list[int]:
    """Every living descendant of *root*, parents before children, without *root*."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and (fields := _stat(int(entry))) and fields[0] not in (b"Z", b"X"):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def kill_tree(root: int, cgroup_procs: list[str], signum: int = signal.SIGKILL) -> None:
    """Signal every descendant of *root* and every process that the given cgroup.procs files list.

    They are stopped first and looked up again until nothing new appears, so that a fork in between does not escape;
    what has left the tree (a daemon adopted by the container's init) is reached only through its cgroup.
    """
    stopped: set[int] = set()
    while new := {*descendants(root), *pids_in(cgroup_procs)} - stopped - {root}:
        for pid in new:
            send(pid, signal.SIGSTOP)
        stopped |= new
    for pid in stopped:
        send(pid, signum)
        if signum != signal.SIGKILL:
            send(pid, signal.SIGCONT)


def send(pid: int, signum: int) -> None:
    """kill(2); a process that is gone is fine."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass


def pids_in(cgroup_procs: list[str]) -> list[int]:
    """The pids that the given cgroup.procs files list; a cgroup that is gone has none."""
    pids: list[int] = []
    for path in cgroup_procs:
        try:
            pids += [int(pid) for pid in files.read_bounded(path, 1 << 20).split()]
        except OSError:
            continue
    return [pid for pid in pids if pid > 0]


def set_oom_score_adj(wanted: int | None, pid: int) -> None:
    """Set the oom_score_adj of *pid*; without CAP_SYS_RESOURCE it cannot go down, and then stays as it is."""
    if wanted is None:
        return
    try:
        files.write_value(f"/proc/{pid}/oom_score_adj", str(max(-1000, min(1000, wanted))))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            raise


def _stat(pid: int) -> list[bytes] | None:
    """Fields of /proc/PID/stat from the state on; the name before it may hold spaces and parentheses."""
    try:
        return files.read_bounded(f"/proc/{pid}/stat", 4096).rpartition(b") ")[2].split()
    except OSError:
        return None
