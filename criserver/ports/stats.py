"""What is used of the machine: cgroups, network namespaces, writable layers, processes. One look each, nothing kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from criserver.model.stats import CgroupUsage, DiskUsage, NetworkUsage, TaskUsage


class Stats(Protocol):
    """Readings by name. What is not there, or goes away meanwhile, is missing from the answer and no error."""

    async def cgroups(self, names: Collection[str], *, detailed: bool) -> Mapping[str, CgroupUsage]:
        """Usage by cgroup, named as in config.json or a sandbox's cgroup_parent. `detailed`: all that there is.

        Without details come CPU time, memory without its history, pressure and threads.
        """
        ...

    async def networks(self, namespaces: Collection[str]) -> Mapping[str, NetworkUsage]:
        """Traffic by the path of a pinned network namespace."""
        ...

    async def disk(self, directory: str) -> DiskUsage | None:
        """What the tree takes on disk. May take long: the walk has a thread of its own."""
        ...

    async def tasks(self, names: Collection[str], *, detailed: bool) -> Mapping[str, TaskUsage]:
        """Processes by cgroup, those below it included; with `detailed` their descriptors and limits too."""
        ...
