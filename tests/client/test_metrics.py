"""Metrics of pods against their stats, and through crictl as a person sees them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.crictl import Crictl
from tests.support.server import Client, Server
from tests.support.streams import messages

MIB = 1 << 20

# Only there when block devices, swap of huge pages or pressure are accounted for on this kernel.
DEPENDS_ON_THE_KERNEL = ("blkio", "fs_reads", "fs_writes", "hugetlb", "pressure")


def busy(config: pb.ContainerConfig) -> pb.ContainerConfig:
    """With every limit that a metric tells of."""
    resources = config.linux.resources
    resources.cpu_period, resources.cpu_quota, resources.cpu_shares = 100_000, 20_000, 1024
    resources.memory_limit_in_bytes = resources.memory_swap_limit_in_bytes = 64 * MIB
    return config


@pytest.fixture
def pod(client: Client, logs: Path) -> Iterator[tuple[str, str]]:
    """Ids of a pod and of a container that has written ten files and burns CPU."""
    cri.pull(client)
    config = cri.pod_config("metrics", logs)
    made = cri.run(client, config)
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo hi > /file$i; done; while :; do :; done"
    container = cri.create(client, made, busy(cri.container_config("main", "sh", "-c", script)), config)
    cri.start(client, container)
    yield made, container
    cri.remove_pod(client, made)


def metrics_of(client: Client, pod: str) -> pb.PodSandboxMetrics:
    found: pb.PodSandboxMetrics
    (found,) = [
        each for each in client("ListPodSandboxMetrics", pb.ListPodSandboxMetricsRequest()).pod_metrics
        if each.pod_sandbox_id == pod
    ]  # fmt: skip
    return found


def test_every_descriptor_has_samples_with_its_labels(client: Client, pod: tuple[str, str]) -> None:
    descriptors = client("ListMetricDescriptors", pb.ListMetricDescriptorsRequest()).descriptors
    assert len(descriptors) == 56
    found = metrics_of(client, pod[0])
    (container,) = found.container_metrics
    assert container.container_id == pod[1]
    samples = {each.name: each for each in (*found.metrics, *container.metrics)}
    missing = [
        each.name for each in descriptors
        if each.name not in samples and not each.name.removeprefix("container_").startswith(DEPENDS_ON_THE_KERNEL)
    ]  # fmt: skip
    assert missing == []
    keys = {each.name: each.label_keys for each in descriptors}
    assert all(len(each.label_values) == len(keys[name]) for name, each in samples.items())


def test_metrics_say_what_stats_say(client: Client, pod: tuple[str, str]) -> None:
    request, deadline = pb.ContainerStatsRequest(container_id=pod[1]), time.monotonic() + 90
    # A fifth of a core makes whole seconds of CPU time, sooner or later.
    while client("ContainerStats", request).stats.cpu.usage_core_nano_seconds.value < 1.2e9:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    time.sleep(1.1)
    container = metrics_of(client, pod[0]).container_metrics[0]
    stats = client("ContainerStats", request).stats
    value = {each.name.removeprefix("container_"): each.value.value for each in container.metrics}
    seconds = stats.cpu.usage_core_nano_seconds.value / 1e9
    assert value["cpu_usage_seconds_total"] == pytest.approx(seconds, abs=1)
    assert value["cpu_usage_seconds_total"] >= 1
    assert value["cpu_user_seconds_total"] + value["cpu_system_seconds_total"] <= value["cpu_usage_seconds_total"]
    assert value["cpu_cfs_throttled_periods_total"] > 3
    assert value["memory_usage_bytes"] == pytest.approx(stats.memory.usage_bytes.value, abs=MIB)
    assert value["fs_usage_bytes"] == stats.writable_layer.used_bytes.value
    assert value["spec_cpu_quota"] == 20_000
    assert value["spec_memory_limit_bytes"] == 64 * MIB
    assert (value["processes"], value["threads"]) == (1, 1)
    assert value["file_descriptors"] >= 3
    assert value["start_time_seconds"] <= value["last_seen"] <= time.time()


def test_a_stream_says_what_the_list_says(server: Server, client: Client, pod: tuple[str, str]) -> None:
    streamed = messages(server.socket, "StreamPodSandboxMetrics", pb.StreamPodSandboxMetricsRequest())
    listed = client("ListPodSandboxMetrics", pb.ListPodSandboxMetricsRequest()).pod_metrics
    ids = [each.pod_sandbox_id for message in streamed for each in message.pod_sandbox_metrics]
    assert ids == [each.pod_sandbox_id for each in listed] == [pod[0]]


def test_groups_can_be_left_out(base: Path, pulling: Mapping[str, str]) -> None:
    config = {"image": pulling, "stats": {"metric_groups": ["network"]}}
    with serving(base / "groups", config) as server, server.client() as client:
        descriptors = client("ListMetricDescriptors", pb.ListMetricDescriptorsRequest()).descriptors
        assert {each.name.split("_")[1] for each in descriptors} == {"network"}


def test_crictl_shows_them(crictl: Crictl, pod: tuple[str, str]) -> None:
    assert len(json.loads(crictl("metricdescs"))["descriptors"]) == 56
    (found,) = json.loads(crictl("metricsp"))["podMetrics"]
    assert found["podSandboxId"] == pod[0]
    assert pod[1][:13] in crictl("stats")
    assert pod[0][:13] in crictl("statsp")
    assert json.loads(crictl("stats", "-o", "json"))["stats"][0]["attributes"]["id"] == pod[1]
