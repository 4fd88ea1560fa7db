"""The driver of port `Stats`: which files are read of which hierarchy, and in which thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from criserver.drivers.stats import cgroup, disk, network, tasks
from criserver.drivers.stats.open_files import IDLE_SECONDS, OpenFiles
from criserver.errors import CriError
from criserver.kernel.cgroupfs import Hierarchy
from criserver.kernel.namespaces import inside_each
from criserver.kernel.offload import Pool
from criserver.model import cgroup_names
from criserver.model.stats import CgroupUsage, DiskUsage, NetworkUsage, TaskUsage

T = TypeVar("T")
Plan = Sequence[tuple[Hierarchy, Sequence[str]]]

_TABLE_LIMIT = 1 << 20  # bytes of /proc/net/dev: some hundred for each interface

# One walk at a time: a tree of a million files must not keep everybody else's threads.
_walks = Pool("disk usage", 1)
# The one thread that reads, and has the files of cgroups open: several would wait for each other at the interpreter's
# lock, which each short system call gives away.
_reader = Pool("usage", 1)


class KernelStats:
    """Reads cgroup files, /proc and writable layers."""

    def __init__(
        self, hierarchies: Sequence[Hierarchy], huge_page_sizes: Iterable[str] = (), idle: float = IDLE_SECONDS
    ) -> None:
        """`hierarchies` are those of the host, `huge_page_sizes` as cgroup files name them ("2MB"); files are closed
        that nobody has read for `idle` seconds."""
        # Without it no cgroup has pressure files (kernel/cgroup/cgroup.c), and three are not looked for in each.
        sizes, pressure = tuple(huge_page_sizes), os.path.exists("/proc/pressure")
        self._basic, self._detailed = (
            tuple(_plan(hierarchies, detailed=detailed, huge_page_sizes=sizes, pressure=pressure))
            for detailed in (False, True)
        )
        self._files, self._idle = OpenFiles(idle=idle), idle
        self._closing: asyncio.TimerHandle | None = None
        self._processes = next((each for each in hierarchies if "pids" in each.controllers), None)

    async def cgroups(self, names: Collection[str], *, detailed: bool) -> Mapping[str, CgroupUsage]:
        """Usage by cgroup, in one thread for all."""
        reading, files = self._detailed if detailed else self._basic, self._files

        def read() -> Mapping[str, CgroupUsage]:
            found = _each(names, lambda name: _cgroup(reading, files, cgroup_names.directory(name)))
            files.tidy()
            return found

        found = await _reader(read)
        self._close_later()
        return found

    def _close_later(self) -> None:
        """Once there is nothing left to read, nobody reads, and no reading closes what earlier ones have opened."""
        if self._closing:
            self._closing.cancel()
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(self._idle * 1.1, _reader.begin, self._files.tidy)

    async def networks(self, namespaces: Collection[str]) -> Mapping[str, NetworkUsage]:
        """Traffic by namespace; a throw-away thread goes through all of them."""
        return await _reader(inside_each, namespaces, _interfaces)

    async def disk(self, directory: str) -> DiskUsage | None:
        """What the tree takes on disk, after the walks that were asked for before."""
        return await _walks(disk.measure, directory, time.time_ns())

    async def tasks(self, names: Collection[str], *, detailed: bool) -> Mapping[str, TaskUsage]:
        """Processes by cgroup, in one thread for all."""
        return await _reader(_each, names, lambda name: self._tasks(cgroup_names.directory(name), detailed))

    def _tasks(self, name: str, detailed: bool) -> TaskUsage | None:
        if self._processes is None:
            return None
        return tasks.look(self._processes, name, time.time_ns(), detailed=detailed)


def _plan(
    hierarchies: Iterable[Hierarchy], *, detailed: bool, huge_page_sizes: Sequence[str], pressure: bool
) -> Iterator[tuple[Hierarchy, Sequence[str]]]:
    """What is read of each hierarchy; those where that is nothing are left out."""
    for each in hierarchies:
        wanted = cgroup.names(
            each.version, each.controllers, detailed=detailed, huge_page_sizes=huge_page_sizes, pressure=pressure
        )
        if wanted:
            yield each, wanted


def _each(names: Collection[str], read: Callable[[str], T | None]) -> dict[str, T]:
    """Readings by name, without those that fail: one container that vanishes must not fail the others."""
    found = {}
    for name in names:
        with contextlib.suppress(OSError, CriError):
            if (reading := read(name)) is not None:
                found[name] = reading
    return found


def _cgroup(reading: Plan, files: OpenFiles, name: str) -> CgroupUsage | None:
    found: dict[str, str] = {}
    for hierarchy, wanted in reading:
        directory = hierarchy.directory(name)
        found |= {file: text for file in wanted if (text := files.read(f"{directory}/{file}"))}
    return cgroup.usage(found, time.time_ns(), disk.device_name) if found else None


def _interfaces() -> NetworkUsage:
    """Of the network namespace that this thread is in."""
    fd = os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC)
    try:
        table = os.read(fd, _TABLE_LIMIT).decode("utf-8", "replace")
    finally:
        os.close(fd)
    return NetworkUsage(time.time_ns(), network.interfaces(table))
