"""Who is measured: rows and the readings of what they name, put together. One reading serves all callers of a period.

A part that cannot be measured (a container that has ended has no cgroup) is None; nothing fails for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from criserver.lifecycle.images.images import FilesystemUsage
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.reports.disk_walks import DiskWalks
from criserver.lifecycle.reports.queries import list_containers, list_sandboxes
from criserver.lifecycle.reports.readings import Reading, Readings
from criserver.lifecycle.tasks import Tasks
from criserver.model.container import Container, ContainerFilter, ContainerState
from criserver.model.sandbox import Sandbox, SandboxFilter
from criserver.model.stats import CgroupUsage, DiskUsage, NetworkUsage, TaskUsage
from criserver.ports.stats import Stats
from criserver.state.containers import Containers
from criserver.state.sandboxes import Sandboxes

_V = TypeVar("_V")
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ContainerSample:
    """One container. `nano_cores` is its CPU rate since the reading before: 10^9 is one full core."""

    row: Container
    usage: CgroupUsage | None = None
    nano_cores: int | None = None
    disk: DiskUsage | None = None
    tasks: TaskUsage | None = None


@dataclass(frozen=True, slots=True)
class PodSample:
    """One pod as its cgroup and network namespace have it, and its running containers. No network: the host's."""

    row: Sandbox
    usage: CgroupUsage | None = None
    nano_cores: int | None = None
    network: NetworkUsage | None = None
    tasks: TaskUsage | None = None
    containers: tuple[ContainerSample, ...] = ()


class StatsService:
    """Samples of containers and pods."""

    def __init__(
        self, sandboxes: Sandboxes, containers: Containers, powers: Powers, stats: Stats, tasks: Tasks, *, period: float
    ) -> None:
        """`period` is how old a reading may be, in seconds."""
        self._sandboxes, self._containers, self._powers = sandboxes, containers, powers
        self._basic = Readings(period, lambda names: stats.cgroups(names, detailed=False))
        self._detailed = Readings(period, lambda names: stats.cgroups(names, detailed=True))
        self._networks = Readings(period, stats.networks)
        self._counts = Readings(period, lambda names: stats.tasks(names, detailed=False))
        self._tasks = Readings(period, lambda names: stats.tasks(names, detailed=True))
        self._disks = DiskWalks(period, lambda key: stats.disk(powers.rootfs.writable(key)), tasks)

    async def container(self, container_id: str) -> ContainerSample:
        """One container in whatever state it is; NotFound."""
        (sample,) = await self._sample((self._containers.get(container_id),))
        return sample

    async def running(self, wanted: ContainerFilter) -> tuple[ContainerSample, ...]:
        """Running containers that match."""
        rows = list_containers(self._containers, wanted)
        return await self._sample([row for row in rows if row.state is ContainerState.RUNNING])

    async def pod(self, sandbox_id: str) -> PodSample:
        """One pod in whatever state it is; NotFound."""
        (sample,) = await self._pods((self._sandboxes.get(sandbox_id),))
        return sample

    async def ready(self, wanted: SandboxFilter) -> tuple[PodSample, ...]:
        """Ready pods that match."""
        return await self._pods(list_sandboxes(self._sandboxes, replace(wanted, ready=True)))

    async def everything(self) -> tuple[PodSample, ...]:
        """Ready pods with their running containers in every detail, for metrics."""
        return await self._pods(list_sandboxes(self._sandboxes, SandboxFilter(ready=True)), detailed=True)

    async def written(self, mountpoint: str) -> FilesystemUsage:
        """What the writable layers of all containers take, on the file system of `mountpoint`.

        As of the newest walk of each; one that has never been walked is missing.
        """
        disks = (await self._disks.get([row.id for row in self._containers])).values()
        used, inodes = sum(disk.used for disk in disks), sum(disk.inodes for disk in disks)
        return FilesystemUsage(mountpoint, used, inodes, self._powers.clock.now())

    async def _sample(self, rows: Sequence[Container]) -> tuple[ContainerSample, ...]:
        seen = await self._see((), rows, detailed=False)
        return tuple(seen.container(row) for row in rows)

    async def _pods(self, rows: Sequence[Sandbox], *, detailed: bool = False) -> tuple[PodSample, ...]:
        ids = {row.id for row in rows}
        running = [row for row in self._containers if row.sandbox_id in ids and row.state is ContainerState.RUNNING]
        seen = await self._see(rows, running, detailed=detailed)
        inside: dict[str, tuple[ContainerSample, ...]] = {}
        for each in running:
            inside[each.sandbox_id] = (*inside.get(each.sandbox_id, ()), seen.container(each))
        return tuple(seen.pod(row, inside.get(row.id, ())) for row in rows)

    async def _see(self, pods: Sequence[Sandbox], containers: Sequence[Container], *, detailed: bool) -> _Seen:
        """Every reading that the samples are made of, taken at the same time."""
        parents = [row.cgroup_parent for row in pods if row.cgroup_parent]
        cgroups = [row.cgroups_path for row in containers]
        paths = {row.id: self._powers.namespaces.path(row.id, "net") for row in pods if not row.config.host_network}
        self._disks.forget([row.id for row in self._containers])
        usage, counts, tasks, networks, disks = await asyncio.gather(
            (self._detailed if detailed else self._basic).get([*parents, *cgroups]),
            self._counts.get(() if detailed else parents),  # no metric tells of them
            self._tasks.get(cgroups if detailed else ()),
            self._networks.get(tuple(paths.values())),
            self._disks.get([row.id for row in containers]),
        )
        by_pod = {key: networks[path] for key, path in paths.items() if path in networks}
        return _Seen(usage, {**counts, **tasks}, by_pod, disks)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Readings: usage and tasks by cgroup, networks by sandbox, disks by container."""

    usage: Mapping[str, Reading[CgroupUsage]]
    tasks: Mapping[str, Reading[TaskUsage]]
    networks: Mapping[str, Reading[NetworkUsage]]
    disks: Mapping[str, DiskUsage]

    def container(self, row: Container) -> ContainerSample:
        reading = self.usage.get(row.cgroups_path)
        tasks = _value(self.tasks.get(row.cgroups_path))
        return ContainerSample(row, _value(reading), _nano_cores(reading), self.disks.get(row.id), tasks)

    def pod(self, row: Sandbox, containers: tuple[ContainerSample, ...]) -> PodSample:
        reading = self.usage.get(row.cgroup_parent)
        return PodSample(
            row=row,
            usage=_value(reading),
            nano_cores=_nano_cores(reading),
            network=_value(self.networks.get(row.id)),
            tasks=_value(self.tasks.get(row.cgroup_parent)),
            containers=containers,
        )


def _value(reading: Reading[_V] | None) -> _V | None:
    return reading.value if reading else None


def _nano_cores(reading: Reading[CgroupUsage] | None) -> int | None:
    """The rate between two readings; None without two, or when the cgroup was made anew between them."""
    if reading is None or reading.before is None:
        return None
    now, before = reading.value, reading.before
    if now.cpu is None or before.cpu is None:
        return None
    elapsed, used = now.taken_at - before.taken_at, now.cpu.total - before.cpu.total
    return used * _SECOND // elapsed if elapsed > 0 and used >= 0 else None
