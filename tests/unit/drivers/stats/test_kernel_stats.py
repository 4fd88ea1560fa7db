import asyncio
from pathlib import Path

from criserver.drivers.stats.kernel_stats import KernelStats
from criserver.kernel.cgroupfs import Hierarchy
from tests.unit.drivers.stats.test_open_files import descriptors


def v1(path: Path) -> tuple[Hierarchy, ...]:
    """A v1 tree of two hierarchies with one cgroup."""
    for controller, files in {
        "cpuacct": {"cpuacct.usage": "5000"},
        "pids": {"pids.current": "3", "cgroup.procs": ""},
    }.items():
        (path / controller / "pods" / "a").mkdir(parents=True)
        for name, text in files.items():
            (path / controller / "pods" / "a" / name).write_text(text)
    return tuple(Hierarchy(str(path / name), 1, frozenset({name})) for name in ("cpuacct", "pids"))


async def test_cgroups_by_name_and_none_for_those_that_are_gone(tmp_path: Path) -> None:
    stats = KernelStats(v1(tmp_path))
    found = await stats.cgroups(["/pods/a", "/pods/gone"], detailed=True)
    assert set(found) == {"/pods/a"}
    assert found["/pods/a"].cpu is not None
    assert found["/pods/a"].cpu.total == 5000
    assert found["/pods/a"].threads == 3
    assert found["/pods/a"].taken_at > 0


async def test_files_are_closed_when_nothing_is_read_any_more(tmp_path: Path) -> None:
    stats = KernelStats(v1(tmp_path), idle=0.05)
    await stats.cgroups(["/pods/a"], detailed=True)
    assert descriptors(tmp_path) == 2
    async with asyncio.timeout(10):
        while descriptors(tmp_path):
            await asyncio.sleep(0.01)


async def test_tasks_by_name(tmp_path: Path) -> None:
    found = await KernelStats(v1(tmp_path)).tasks(["/pods/a", "/pods/gone"], detailed=False)
    assert {name: usage.processes for name, usage in found.items()} == {"/pods/a": 0}
    assert await KernelStats(()).tasks(["/pods/a"], detailed=False) == {}


async def test_a_namespace_that_is_gone_is_left_out(tmp_path: Path) -> None:
    assert await KernelStats(()).networks([str(tmp_path / "net")]) == {}


async def test_disk(tmp_path: Path) -> None:
    found = await KernelStats(()).disk(str(tmp_path))
    assert found is not None
    assert found.inodes == 1
