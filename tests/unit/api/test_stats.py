import time
from pathlib import Path
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.api.stats import StatsHandlers
from criserver.drivers.stats.kernel_stats import KernelStats
from criserver.errors import NotFound
from criserver.kernel.cgroupfs import Hierarchy
from criserver.lifecycle.reports.stats import StatsService
from tests.support.stats_fakes import FakeStats
from tests.support.world import House

CONTEXT: Any = None

# A container's cgroup on a node with cgroup v2 alone, as the kernel wrote it; the CPU figure is changed by the test.
V2 = {
    "cpu.stat": "usage_usec {cpu}\nuser_usec 400000\nsystem_usec 100000\n",
    "cpu.pressure": "some avg10=12.50 avg60=4.00 avg300=1.00 total=250000\n"
    "full avg10=0.50 avg60=0.00 avg300=0.00 total=1000\n",
    "memory.current": "52428800\n",
    "memory.max": "67108864\n",
    "memory.swap.current": "1048576\n",
    "memory.swap.max": "4194304\n",
    "memory.stat": "anon 41943040\nfile 10485760\ninactive_file 8388608\npgfault 70551\npgmajfault 51\n",
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
    "io.pressure": "some avg10=1.00 avg60=0.00 avg300=0.00 total=9\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=2\n",
    "pids.current": "4\n",
    "cgroup.procs": "",
}
MIB = 1 << 20


def handlers(house: House) -> StatsHandlers:
    service = StatsService(house.sandboxes, house.containers, house.powers, FakeStats(), house.tasks, period=60)
    return StatsHandlers(service, "/images")


async def test_one_listed_and_streamed_are_the_same(house: House) -> None:
    sandbox_id, container_id = await house.running()
    asked = handlers(house)
    one = await asked.ContainerStats(pb.ContainerStatsRequest(container_id=container_id), CONTEXT)
    assert one.stats.attributes.id == container_id
    assert one.stats.writable_layer.fs_id.mountpoint == "/images"
    listed = await asked.ListContainerStats(pb.ListContainerStatsRequest(), CONTEXT)
    assert list(listed.stats) == [one.stats]
    streamed = [message async for message in asked.StreamContainerStats(pb.StreamContainerStatsRequest(), CONTEXT)]
    assert [list(message.container_stats) for message in streamed] == [[one.stats]]

    pod = await asked.PodSandboxStats(pb.PodSandboxStatsRequest(pod_sandbox_id=sandbox_id), CONTEXT)
    assert list(pod.stats.linux.containers) == [one.stats]
    pods = await asked.ListPodSandboxStats(pb.ListPodSandboxStatsRequest(), CONTEXT)
    assert list(pods.stats) == [pod.stats]
    messages = [message async for message in asked.StreamPodSandboxStats(pb.StreamPodSandboxStatsRequest(), CONTEXT)]
    assert [list(message.pod_sandbox_stats) for message in messages] == [[pod.stats]]


async def test_filters_and_unknown_ids(house: House) -> None:
    await house.running()
    asked = handlers(house)
    other = pb.ContainerStatsFilter(label_selector={"no": "such"})
    assert not (await asked.ListContainerStats(pb.ListContainerStatsRequest(filter=other), CONTEXT)).stats
    stream = asked.StreamPodSandboxStats(
        pb.StreamPodSandboxStatsRequest(filter=pb.PodSandboxStatsFilter(id="f" * 64)), CONTEXT
    )
    assert [message async for message in stream] == []
    with pytest.raises(NotFound):
        await asked.ContainerStats(pb.ContainerStatsRequest(container_id="none"), CONTEXT)
    with pytest.raises(NotFound):
        await asked.PodSandboxStats(pb.PodSandboxStatsRequest(pod_sandbox_id="none"), CONTEXT)


def write(directory: Path, cpu: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in V2.items():
        (directory / name).write_text(text.replace("{cpu}", str(cpu)))


async def test_a_recorded_v2_tree_comes_out_as_the_kubelet_reads_it(house: House, tmp_path: Path) -> None:
    """Bytes, faults and pressure exactly; the CPU rate within what the clock between two readings tells (1 %)."""
    sandbox_id, container_id = await house.running()
    paths = house.containers.get(container_id).cgroups_path, house.sandboxes.get(sandbox_id).cgroup_parent
    tree = [tmp_path / "v2" / path.strip("/") for path in paths]
    hierarchy = Hierarchy(str(tmp_path / "v2"), 2, frozenset({"cpu", "memory", "pids", "io"}))
    service = StatsService(
        house.sandboxes, house.containers, house.powers, KernelStats([hierarchy]), house.tasks, period=0
    )
    asked = StatsHandlers(service, "/images")
    request = pb.ContainerStatsRequest(container_id=container_id)
    for directory in tree:
        write(directory, 500_000)
    first = (await asked.ContainerStats(request, CONTEXT)).stats
    time.sleep(0.1)
    for directory in tree:
        write(directory, 600_000)
    stats = (await asked.ContainerStats(request, CONTEXT)).stats

    assert (first.cpu.usage_core_nano_seconds.value, stats.cpu.usage_core_nano_seconds.value) == (500e6, 600e6)
    rate = 100e6 / (stats.cpu.timestamp - first.cpu.timestamp) * 1e9
    assert stats.cpu.usage_nano_cores.value == pytest.approx(rate, rel=0.01)
    memory, swap = stats.memory, stats.swap
    assert (memory.usage_bytes.value, memory.working_set_bytes.value) == (50 * MIB, 42 * MIB)
    assert (memory.available_bytes.value, memory.rss_bytes.value) == (22 * MIB, 40 * MIB)
    assert (memory.page_faults.value, memory.major_page_faults.value) == (70500, 51)
    assert (swap.swap_usage_bytes.value, swap.swap_available_bytes.value) == (MIB, 3 * MIB)
    cpu = stats.cpu.psi
    assert (cpu.Some.Total, cpu.Some.Avg10, cpu.Some.Avg60, cpu.Some.Avg300) == (250_000_000, 12.5, 4.0, 1.0)
    assert (cpu.Full.Total, cpu.Full.Avg10) == (1_000_000, 0.5)
    assert (memory.psi.Some.Total, memory.psi.Full.Total) == (7000, 3000)
    assert (stats.io.psi.Some.Total, stats.io.psi.Some.Avg10, stats.io.psi.Full.Total) == (9000, 1.0, 2000)
    pod = (await asked.PodSandboxStats(pb.PodSandboxStatsRequest(pod_sandbox_id=sandbox_id), CONTEXT)).stats
    assert pod.linux.memory.working_set_bytes.value == 42 * MIB
    assert pod.linux.io.psi.Some.Total == 9000
    assert [each.attributes.id for each in pod.linux.containers] == [container_id]
