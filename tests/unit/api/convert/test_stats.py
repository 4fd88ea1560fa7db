from dataclasses import replace

from criserver.api.convert import stats
from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.reports.stats import ContainerSample, PodSample
from criserver.model.container import (
    Container,
    ContainerConfig,
    ContainerFilter,
    ContainerMetadata,
    ContainerState,
    ImageSpec,
)
from criserver.model.sandbox import PodMetadata, Sandbox, SandboxConfig, SandboxFilter, SandboxState
from criserver.model.stats import (
    CgroupUsage,
    CpuUsage,
    DiskUsage,
    InterfaceUsage,
    MemoryUsage,
    NetworkUsage,
    Pressure,
    Stall,
    TaskUsage,
)

STALLS = Pressure(Stall(1, 2, 3, 4), Stall(5, 6, 7, 8))
USAGE = CgroupUsage(
    taken_at=9,
    cpu=CpuUsage(1000, pressure=STALLS),
    memory=MemoryUsage(100, 60, 50, swap=5, limit=80, swap_limit=20, faults=7, major_faults=3, pressure=STALLS),
    io_pressure=STALLS,
    threads=4,
)
CONFIG = ContainerConfig(
    ContainerMetadata("main", 2), ImageSpec("i"), labels={"a": "b"}, annotations={"c": "d"}
)  # fmt: skip
ROW = Container("c1", "s1", CONFIG, ContainerState.RUNNING, 2, "i")
SAMPLE = ContainerSample(ROW, USAGE, 500, DiskUsage(3, 4096, 2))
POD = Sandbox("s1", SandboxConfig(PodMetadata("web", "u", "ns"), labels={"a": "b"}), "runc", SandboxState.READY, 1)


def test_a_container() -> None:
    found = stats.container_stats(SAMPLE, "/images")
    assert found.attributes == pb.ContainerAttributes(
        id="c1", metadata=pb.ContainerMetadata(name="main", attempt=2), labels={"a": "b"}, annotations={"c": "d"}
    )
    assert (found.cpu.timestamp, found.cpu.usage_core_nano_seconds.value, found.cpu.usage_nano_cores.value) == (
        9,
        1000,
        500,
    )
    memory = found.memory
    assert (memory.timestamp, memory.usage_bytes.value, memory.working_set_bytes.value) == (9, 100, 60)
    assert (memory.rss_bytes.value, memory.available_bytes.value) == (50, 20)
    assert (memory.page_faults.value, memory.major_page_faults.value) == (7, 3)
    assert (found.swap.swap_usage_bytes.value, found.swap.swap_available_bytes.value) == (5, 15)
    layer = found.writable_layer
    assert (layer.timestamp, layer.fs_id.mountpoint) == (3, "/images")
    assert (layer.used_bytes.value, layer.inodes_used.value) == (4096, 2)
    for pressure in (found.cpu.psi, memory.psi, found.io.psi):
        assert pressure.Some == pb.PsiData(Total=1, Avg10=2, Avg60=3, Avg300=4)
        assert pressure.Full == pb.PsiData(Total=5, Avg10=6, Avg60=7, Avg300=8)


def test_what_was_not_measured_is_unset() -> None:
    found = stats.container_stats(ContainerSample(ROW), "/images")
    assert [field.name for field, _ in found.ListFields()] == ["attributes"]
    assert USAGE.memory is not None
    bare = replace(USAGE, memory=replace(USAGE.memory, swap=None, limit=None), io_pressure=None, cpu=CpuUsage(1))
    found = stats.container_stats(ContainerSample(ROW, bare), "/images")
    assert not found.HasField("swap")
    assert not found.HasField("io")
    assert not found.memory.HasField("available_bytes")
    assert not found.cpu.HasField("usage_nano_cores")
    assert not found.cpu.HasField("psi")


def test_zero_is_told() -> None:
    assert stats.container_stats(replace(SAMPLE, nano_cores=0), "").cpu.HasField("usage_nano_cores")


def test_a_pod() -> None:
    interfaces = (InterfaceUsage("net1", 1), InterfaceUsage("eth0", 2, 3, 4, 5, 6, 7, 8, 9))
    sample = PodSample(POD, USAGE, 500, NetworkUsage(4, interfaces), TaskUsage(6, 3), (SAMPLE,))
    found = stats.pod_stats(sample, "/images")
    assert found.attributes.metadata == pb.PodSandboxMetadata(name="web", uid="u", namespace="ns")
    assert dict(found.attributes.labels) == {"a": "b"}
    linux = found.linux
    assert (linux.cpu.usage_nano_cores.value, linux.memory.usage_bytes.value) == (500, 100)
    assert linux.io.psi.Some.Total == 1
    assert (linux.process.timestamp, linux.process.process_count.value) == (6, 3)
    assert [each.attributes.id for each in linux.containers] == ["c1"]
    first = linux.network.default_interface
    assert (first.name, first.rx_bytes.value, first.rx_errors.value) == ("eth0", 2, 4)
    assert (first.tx_bytes.value, first.tx_errors.value) == (6, 8)
    assert [each.name for each in linux.network.interfaces] == ["net1"]


def test_a_pod_in_the_hosts_network_has_none() -> None:
    found = stats.pod_stats(PodSample(POD), "/images").linux
    assert [field.name for field, _ in found.ListFields()] == []


def test_filters() -> None:
    given = pb.ContainerStatsFilter(id="c", pod_sandbox_id="s", label_selector={"a": "b"})
    assert stats.container_filter(given) == ContainerFilter("c", "s", None, {"a": "b"})
    assert stats.sandbox_filter(pb.PodSandboxStatsFilter(id="s")) == SandboxFilter("s", None, {})
