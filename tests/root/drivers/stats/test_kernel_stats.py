"""Readings of real network namespaces and of this process's own cgroup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.drivers.stats import network
from criserver.drivers.stats.kernel_stats import KernelStats
from criserver.kernel import cgroupfs, namespaces


@pytest.fixture
def pinned(tmp_path: Path) -> Iterator[str]:
    """A network namespace of its own."""
    path = str(tmp_path / "net")
    namespaces.pin_new({"net": path}, hostname="", sysctls={})
    yield path
    namespaces.unpin(path)


async def test_each_namespace_has_its_own_interfaces(pinned: str) -> None:
    ours = "/proc/self/ns/net"
    found = await KernelStats(()).networks([pinned, ours, "/none"])
    assert set(found) == {pinned, ours}
    assert found[pinned].interfaces == ()
    here = {each.name for each in network.interfaces(Path("/proc/thread-self/net/dev").read_text())}
    assert {each.name for each in found[ours].interfaces} == here


async def test_the_cgroups_of_this_host_tell_cpu_and_memory() -> None:
    hierarchies = cgroupfs.hierarchies()
    own = cgroupfs.parse_proc_cgroup(Path("/proc/self/cgroup").read_text())
    cgroup = own.get("memory", own.get("", "/"))
    found = (await KernelStats(hierarchies).cgroups([cgroup], detailed=True))[cgroup]
    if cgroup == "/":
        pytest.skip("this process is at the top of the hierarchy, which has no memory figures of its own")
    assert found.memory is not None
    assert 0 < found.memory.working_set <= found.memory.usage
