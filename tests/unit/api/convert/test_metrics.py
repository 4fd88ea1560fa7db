from dataclasses import replace

import pytest

from criserver.api.convert.metric_table import UNLIMITED
from criserver.api.convert.metrics import descriptors, pod_metrics
from criserver.api.pb import api_pb2 as pb
from criserver.config.schema import MetricGroup
from criserver.lifecycle.reports.stats import ContainerSample, PodSample
from criserver.model.container import Container, ContainerConfig, ContainerMetadata, ContainerState, ImageSpec
from criserver.model.resources import LinuxResources
from criserver.model.sandbox import PodMetadata, Sandbox, SandboxConfig, SandboxState
from criserver.model.stats import (
    CgroupUsage,
    CpuUsage,
    DeviceTraffic,
    DiskUsage,
    HugePages,
    InterfaceUsage,
    MemoryUsage,
    NetworkUsage,
    Pressure,
    Stall,
    TaskUsage,
)

SECOND = 1_000_000_000
STALLS = Pressure(some=Stall(5 * SECOND), full=Stall(4 * SECOND))
USAGE = CgroupUsage(
    taken_at=100 * SECOND,
    cpu=CpuUsage(7 * SECOND + 1, 6 * SECOND, SECOND, 11, 12, 13 * SECOND, STALLS),
    memory=MemoryUsage(20, 21, 22, 23, 24, 25, None, None, None, 30, 3, 26, 27, 28, STALLS),
    io_pressure=STALLS,
    devices=(DeviceTraffic(254, 0, 1, 2, 3, 4, "/dev/vda"),),
    huge_pages=(HugePages("2MB", 40, 41),),
    threads=8,
    threads_max=9,
)
CONTAINER_ROW = Container(
    "c1",
    "s1",
    ContainerConfig(ContainerMetadata("main"), ImageSpec("sha256:1", user_specified_image="nginx")),
    ContainerState.RUNNING,
    2,
    "i",
    cgroups_path="/pod/c1",
    started_at=90 * SECOND,
    resources=LinuxResources(cpu_quota=20_000, memory_limit_in_bytes=64, unified={"memory.low": "5"}),
)
SAMPLE = ContainerSample(
    CONTAINER_ROW, USAGE, 1, DiskUsage(1, 50, 2, True, "/dev/vda", 51, 52, 53),
    TaskUsage(1, 60, 61, 62, {"nofile": 1024, "core": None}),
)  # fmt: skip
POD = PodSample(
    Sandbox("s1", SandboxConfig(PodMetadata("web", "u", "ns")), "runc", SandboxState.READY, 1, "/pod"),
    USAGE,
    network=NetworkUsage(3, (InterfaceUsage("eth0", 1, 2, 3, 4, 5, 6, 7, 8),)),
    containers=(SAMPLE,),
)
ALL = tuple(MetricGroup)


def metrics() -> tuple[list[pb.Metric], list[pb.Metric]]:
    """Of the pod itself, and of its container."""
    found = pod_metrics(POD, ALL)
    return list(found.metrics), list(found.container_metrics[0].metrics)


def test_every_sample_has_the_labels_of_its_descriptor() -> None:
    keys = {each.name: each.label_keys for each in descriptors(ALL)}
    pod, container = metrics()
    assert {each.name for each in (*pod, *container)} == keys.keys()
    for each in (*pod, *container):
        assert len(each.label_values) == len(keys[each.name]), each.name


def test_whose_a_sample_is() -> None:
    pod, container = metrics()
    assert {tuple(each.label_values[:6]) for each in pod} == {("/pod", "s1", "", "", "web", "ns")}
    assert {tuple(each.label_values[:6]) for each in container} == {("/pod/c1", "c1", "nginx", "main", "web", "ns")}


def test_cgroups_of_systemd_are_told_as_their_paths() -> None:
    within = replace(POD.containers[0], row=replace(CONTAINER_ROW, cgroups_path="a-b.slice:criserver:c1"))
    found = pod_metrics(replace(POD, row=replace(POD.row, cgroup_parent="a-b.slice"), containers=(within,)), ALL)
    assert {each.label_values[0] for each in found.metrics} == {"/a.slice/a-b.slice"}
    expected = {"/a.slice/a-b.slice/criserver-c1.scope"}
    assert {each.label_values[0] for each in found.container_metrics[0].metrics} == expected


@pytest.mark.parametrize(
    ("name", "labels", "value", "gauge"),
    [
        ("cpu_usage_seconds_total", ("total",), 7, False),
        ("cpu_user_seconds_total", (), 6, False),
        ("cpu_cfs_throttled_seconds_total", (), 13, False),
        ("memory_usage_bytes", (), 20, True),
        ("memory_working_set_bytes", (), 21, True),
        ("memory_swap", (), 0, True),
        ("memory_failcnt", (), 27, False),
        ("memory_failures_total", ("pgfault", "container"), 33, False),
        ("memory_failures_total", ("pgmajfault", "hierarchy"), 3, False),
        ("oom_events_total", (), 28, False),
        ("pressure_io_waiting_seconds_total", (), 5, False),
        ("pressure_io_stalled_seconds_total", (), 4, False),
        ("blkio_device_usage_total", ("/dev/vda", "254", "0", "Write"), 3, False),
        ("fs_reads_total", ("/dev/vda",), 2, False),
        ("fs_usage_bytes", ("/dev/vda",), 50, True),
        ("fs_inodes_free", ("/dev/vda",), 53, True),
        ("hugetlb_max_usage_bytes", ("2MB",), 41, True),
        ("last_seen", (), 100, True),
        ("start_time_seconds", (), 90, True),
        ("processes", (), 60, True),
        ("sockets", (), 62, True),
        ("threads_max", (), 9, True),
        ("ulimits_soft", ("nofile",), 1024, True),
        ("ulimits_soft", ("core",), UNLIMITED, True),
        ("spec_cpu_period", (), 100_000, True),
        ("spec_cpu_quota", (), 20_000, True),
        ("spec_memory_limit_bytes", (), 64, True),
        ("spec_memory_reservation_limit_bytes", (), 5, True),
        ("spec_memory_swap_limit_bytes", (), 0, True),
    ],
)
def test_what_a_container_sample_says(name: str, labels: tuple[str, ...], value: int, gauge: bool) -> None:
    (found,) = [
        each for each in metrics()[1] if each.name == f"container_{name}" and tuple(each.label_values[6:]) == labels
    ]
    assert found.value.value == value
    assert (found.metric_type == pb.MetricType.GAUGE) is gauge


def test_networks_are_the_pods() -> None:
    values = {each.name: each.value.value for each in metrics()[0] if "network" in each.name}
    prefix = "container_network"
    assert values[f"{prefix}_receive_bytes_total"] == 1
    assert values[f"{prefix}_receive_packets_dropped_total"] == 4
    assert values[f"{prefix}_transmit_packets_total"] == 6
    assert values[f"{prefix}_transmit_errors_total"] == 7


def test_what_was_not_measured_is_left_out() -> None:
    empty = pod_metrics(PodSample(POD.row, containers=(ContainerSample(CONTAINER_ROW),)), ALL)
    assert list(empty.metrics) == []
    assert {each.name.split("_")[1] for each in empty.container_metrics[0].metrics} == {"spec", "start"}


def test_groups_are_told_apart() -> None:
    for group in MetricGroup:
        names = {each.name for each in descriptors([group])}
        assert names
        found = pod_metrics(POD, [group])
        assert {each.name for each in (*found.metrics, *found.container_metrics[0].metrics)} == names
