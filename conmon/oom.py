"""Notices that the kernel's OOM killer struck in a container, before the container's cgroup goes away.

cgroup v2: ``memory.events`` (its ``oom_kill`` line; the kernel wakes pollers of the file with POLLPRI). cgroup v1:
``memory.oom_control`` with an eventfd registered in ``cgroup.event_control``. Sources: the kernel's
admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.

systemd removes a scope as soon as it is empty, maybe before the monitor has looked: an open file tells nothing any more
then. But on v2 a cgroup counts what happens below it as well, so the pod's counter still has the kill. It has those of
the pod's other containers too, and so is asked only about a container that SIGKILL ended and whose own is gone.
"""

from __future__ import annotations

import os
import signal

from conmon import files, slots
from conmon.cgroup import memory_directory
from conmon.reactor import IN, PRI, Reactor

_COUNTER = {1: "memory.oom_control", 2: "memory.events"}


def parse_kills(text: str) -> int:
    """OOM kills in the text of either file. v1 before Linux 4.13 has no count: being under OOM counts as one."""
    values = dict(line.split(None, 1) for line in text.splitlines() if " " in line)
    count = values.get("oom_kill", values.get("under_oom", "0"))
    return int(count) if count.strip().isdecimal() else 0


def counter_path(pid: int) -> tuple[int, str] | None:
    """``(version, file)`` in which the kernel counts the OOM kills of *pid*'s memory cgroup. None without one."""
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


def parent_path(path: str) -> str:
    """The counter of the cgroup above the one that *path* counts for."""
    above, name = os.path.split(path)
    return os.path.join(os.path.dirname(above), name)


def kills_of_lost(path: str, version: int, parent_before: int, ended_by: int) -> int:
    """What can still be known, when nobody has watched, of a container that signal *ended_by* has ended (0: none)."""
    if os.path.exists(path) or version != 2 or ended_by != signal.SIGKILL:
        return read_kills(path)
    return max(0, read_kills(parent_path(path)) - parent_before)


class Counter:
    """An open counter file: cgroup *version*, *path*, *fd*; on v1 the *event* descriptor that OOMs signal, on v2 the
    *parent*'s counter (each -1 without one)."""

    def __init__(self, version: int, path: str, fd: int, event: int, parent: int) -> None:
        self.version, self.path, self.fd, self.event, self.parent = version, path, fd, event, parent


def open_counter(pid: int) -> Counter | None:
    """The counter of the memory cgroup that *pid* is in now; None without one or without the right to open it."""
    version, path = counter_path(pid) or (0, "")
    if not version:
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    event = parent = -1
    if version == 2:
        try:
            parent = os.open(parent_path(path), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            pass  # the cgroup at the top has none
    else:
        try:
            event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            files.write_value(f"{os.path.dirname(path)}/cgroup.event_control", f"{event} {fd}")
        except OSError:
            pass  # the count is then read at the exit only
    return Counter(version, path, fd, event, parent)


class OomWatch:
    """Counts the OOM kills of one container since this object was made; without a counter it stays at zero."""

    def __init__(self, reactor: Reactor, version: int, before: int, parent_before: int) -> None:
        """*version*: of the ``Counter`` in slots OOM, OOM_EVENT and OOM_PARENT, 0 for none. *before*, *parent_before*:
        what is not to be counted, since the cgroups may be older than the container."""
        self._reactor, self._version = reactor, version
        self._kills, self._last, self._parent_before = 0, before, parent_before
        self.kills()  # while it is there
        if version == 1:
            reactor.watch(slots.OOM_EVENT, IN, self._signalled)
        elif version == 2:
            reactor.watch(slots.OOM, PRI, self._changed)

    def kills(self) -> int:
        """OOM kills so far; reads the counter while the cgroup is there."""
        now = _read() if self._version else -1
        if now > self._last:
            self._kills, self._last = self._kills + now - self._last, now
        return self._kills

    def kills_in_all(self, ended_by: int) -> int:
        """OOM kills of the container, now that signal *ended_by* (0: none) has ended it."""
        kills = self.kills()
        if kills or ended_by != signal.SIGKILL or self._version != 2 or _read() >= 0:
            return kills
        return max(0, _read(slots.OOM_PARENT) - self._parent_before)

    def _signalled(self, _events: int) -> None:
        """v1 tells before it kills (and when the cgroup is removed): look again when the kill has been counted."""
        os.eventfd_read(slots.OOM_EVENT)
        self.kills()
        self._reactor.call_later(0.02, self._look)

    def _look(self) -> None:
        self.kills()

    def _changed(self, _events: int) -> None:
        """v2; a removed cgroup would wake us for ever."""
        if _read() < 0:
            self._reactor.forget(slots.OOM)
        self.kills()


def _read(slot: int = slots.OOM) -> int:
    """The count; -1 when its cgroup is gone (ENODEV)."""
    try:
        return parse_kills(os.pread(slot, 4096, 0).decode())
    except OSError:
        return -1
