"""Processes of a cgroup: how many, their open descriptors, and the limits of the first. Bounded reads of /proc."""

from __future__ import annotations

import os
from collections.abc import Sequence

from criserver.drivers.stats.limits import soft_limits
from criserver.kernel import cgroupfs
from criserver.kernel.cgroupfs import Hierarchy
from criserver.model.stats import TaskUsage

MAX_DESCRIPTORS = 100_000  # of one cgroup that are looked at; each is a system call


def look(hierarchy: Hierarchy, cgroup: str, taken_at: int, *, detailed: bool) -> TaskUsage | None:
    """The processes in the cgroup and below; None when it is not there. Blocks."""
    if not cgroupfs.exists(hierarchy, cgroup):
        return None
    if not detailed and (threads := _read(f"{hierarchy.directory(cgroup)}/pids.current").strip()) in ("0", "1"):
        return TaskUsage(taken_at, int(threads))  # v1 makes a list of a cgroup's processes whenever it is asked
    pids = sorted(cgroupfs.processes(hierarchy, cgroup) - {0})
    if not detailed:
        return TaskUsage(taken_at, len(pids))
    files, sockets = _descriptors(pids)
    limits = soft_limits(_read(f"/proc/{pids[0]}/limits")) if pids else {}
    return TaskUsage(taken_at, len(pids), files, sockets, limits)


def _descriptors(pids: Sequence[int]) -> tuple[int, int]:
    files = sockets = 0
    for pid in pids:
        directory = f"/proc/{pid}/fd"
        try:
            names = os.listdir(directory)
        except OSError:
            continue  # it has ended
        for name in names[: max(0, MAX_DESCRIPTORS - files)]:
            files += 1
            sockets += _is_socket(f"{directory}/{name}")
    return files, sockets


def _is_socket(path: str) -> bool:
    try:
        return os.readlink(path).startswith("socket:")
    except OSError:
        return False


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
