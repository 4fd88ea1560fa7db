"""A fake of port `Stats`: readings that a test can reckon."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from criserver.model.stats import CgroupUsage, CpuUsage, DiskUsage, InterfaceUsage, NetworkUsage, TaskUsage


class FakeStats:
    """Port Stats: every cgroup burns half a core; what is `gone` cannot be read."""

    def __init__(self) -> None:
        self.rounds, self.gone = 0, set[str]()
        self.detailed: list[bool] = []

    async def cgroups(self, names: Collection[str], *, detailed: bool) -> Mapping[str, CgroupUsage]:
        self.rounds += 1
        self.detailed.append(detailed)
        now = self.rounds * 1_000_000_000
        return {name: CgroupUsage(now, CpuUsage(now // 2)) for name in names if name not in self.gone}

    async def networks(self, namespaces: Collection[str]) -> Mapping[str, NetworkUsage]:
        return {path: NetworkUsage(1, (InterfaceUsage("eth0", rx_bytes=len(path)),)) for path in namespaces}

    async def disk(self, directory: str) -> DiskUsage | None:
        return DiskUsage(1, len(directory), 1)

    async def tasks(self, names: Collection[str], *, detailed: bool) -> Mapping[str, TaskUsage]:
        return {name: TaskUsage(1, 3, files=9 if detailed else 0) for name in names}
