"""Notices that the kernel's OOM killer struck in a container, before the container's cgroup goes away.

cgroup v2: ``memory.events`` (its ``oom_kill`` line; the kernel wakes pollers of the file with POLLPRI). cgroup v1:
``memory.oom_control`` with an eventfd registered in ``cgroup.event_control``. Sources: the kernel's
admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. The counter file is kept open, since a systemd scope is removed as soon
as it is empty.
"""

from __future__ import annotations

import os

from conmon import files
from conmon.cgroup import memory_directory
from conmon.reactor import IN, PRI, Reactor

_COUNTER = {1: "memory.oom_control", 2: "memory.events"}


def parse_kills(text: str) -> int:
    """OOM kills counted in the text of either file. v1 before Linux 4.13 has no count: being under OOM counts as one."""
    values = dict(line.split(None, 1) for line in text.splitlines() if " " in line)
    count = values.get("oom_kill", values.get("under_oom", "0"))
    return int(count) if count.strip().isdecimal() else 0


def counter_path(pid: int) -> tuple[int, str] | None:
    """``(cgroup version, file)`` in which the kernel counts the OOM kills of *pid*'s memory cgroup. None without one."""
    try:
        cgroups = files.read_bounded(f"/proc/{pid}/cgroup").decode()
        mounts = files.read_bounded("/proc/self/mountinfo", 4 << 20).decode()
    except OSError:
        return None
    found = memory_directory(cgroups, mounts)
    return (found[0], f"{found[1]}/{_COUNTER[found[0]]}") if found else None


def read_kills(path: str) -> int:
    """The count in *path* now; 0 when it cannot be read."""
    try:
        return parse_kills(files.read_bounded(path).decode())
    except OSError:
        return 0


class OomWatch:
    """Counts the OOM kills of one container; without a memory cgroup it stays at zero."""

    def __init__(self, reactor: Reactor, pid: int) -> None:
        """Watch the memory cgroup that *pid* is in now."""
        self._reactor = reactor
        self._kills, self._last = 0, 0
        self._fds: list[int] = []
        version, self.path = counter_path(pid) or (0, "")
        try:
            if version:
                self._counter = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                self._fds.append(self._counter)
                # The cgroup may be older than the container (runc create into an existing one).
                self._last = self._count()
                (self._watch_v1 if version == 1 else self._watch_v2)()
        except OSError:
            pass  # the count is then read at the exit only

    def kills(self) -> int:
        """OOM kills since this watch began, as far as known; reads the counter while the cgroup is there."""
        if self._fds:
            try:
                now = self._count()
            except OSError:
                return self._kills  # ENODEV: the cgroup is gone
            self._kills, self._last = self._kills + max(0, now - self._last), now
        return self._kills

    def close(self) -> None:
        """Let go of the cgroup's files."""
        for fd in self._fds:
            self._reactor.forget(fd)
            os.close(fd)
        self._fds = []

    def _count(self) -> int:
        return parse_kills(os.pread(self._counter, 4096, 0).decode())

    def _watch_v2(self) -> None:
        self._reactor.watch(self._counter, PRI, lambda _events: self._noticed())

    def _watch_v1(self) -> None:
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._fds.append(event)
        files.write_value(f"{os.path.dirname(self.path)}/cgroup.event_control", f"{event} {self._counter}")
        self._reactor.watch(event, IN, lambda _events: self._noticed_v1(event))

    def _noticed_v1(self, event: int) -> None:
        os.eventfd_read(event)
        self._noticed()
        # v1 tells before it kills: look again when the kill has been counted.
        self._reactor.call_later(0.02, lambda: self._noticed())

    def _noticed(self) -> None:
        before = self._kills
        if self.kills() == before and self._fds:
            try:
                os.pread(self._counter, 1, 0)
            except OSError:
                self.close()  # the cgroup is gone and will wake us for ever
