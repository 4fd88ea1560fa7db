"""What a node tells of itself and of its pods, and what it does about their logs and runtimes."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import namespace
from tests.support.cluster import network, nodes, processes
from tests.support.cluster.cgroups import hierarchies
from tests.support.cluster.kube import Kube, container_status
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import agn, container, pod

pytestmark = pytest.mark.timeout(300)

PROXY = "/api/v1/nodes/node1/proxy"
BUSY = "dd if=/dev/zero of=/data bs=1M count=8 2>/dev/null; while :; do i=$((i+1)); done"
STATS = ("cpu", "memory", "rootfs", "logs")


SOURCES = {"own": False, "cri": True}
"""Where the kubelet has its figures: from cgroups that its cAdvisor finds and the rest from the CRI; or all from there.

cAdvisor knows containerd and CRI-O by name. Of another runtime it tells no networks and no names: these want it on.
"""


@pytest.fixture(scope="module", params=list(SOURCES))
def telling(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace with a busy and an idle pod, on a kubelet that has its figures from the one source or the other."""
    node = cluster.nodes[0]
    nodes.restart_kubelet(node, {"featureGates": {"PodAndContainerStatsFromCRI": SOURCES[request.param]}})
    with namespace(cluster, f"stats-{request.param}") as kube:
        volumes = [{"name": "v", "emptyDir": {}}]
        kube.apply(pod("busy", container("main", BUSY), container("other"), volumes=volumes), pod("idle", agn()))
        kube.ready("busy", "idle")
        yield kube
    nodes.restart_kubelet(node)


def test_the_summary_tells_of_every_container(telling: Kube) -> None:
    path = f"{PROXY}/stats/summary"
    processes.wait_until(lambda: _complete(_pod(telling.api(path), telling, "busy")), 60, "a complete summary", 1)
    found = telling.api(path)
    busy = _pod(found, telling, "busy")
    main = next(item for item in busy["containers"] if item["name"] == "main")
    assert {item["name"] for item in busy["containers"]} == {"main", "other"}
    assert main["cpu"]["usageNanoCores"] > 50_000_000
    assert main["memory"]["workingSetBytes"] > 0 and main["rootfs"]["usedBytes"] >= 8 << 20
    if _from_cri(telling):
        assert busy["network"]["name"] == "eth0" and busy["network"]["rxBytes"] > 0
        assert busy["process_stats"]["process_count"] >= 2
    assert busy["ephemeral-storage"]["usedBytes"] >= 8 << 20
    assert found["node"]["runtime"]["imageFs"]["usedBytes"] > 0


def test_the_metrics_tell_of_every_container(telling: Kube) -> None:
    def lines(name: str) -> list[str]:
        text = str(telling.api(f"{PROXY}/metrics/cadvisor"))
        return [line for line in text.splitlines() if line.startswith(name + "{") and mark in line]

    container_id = container_status(telling.pod("busy"))["containerID"].rpartition("/")[2]
    mark = f'namespace="{telling.namespace}"' if _from_cri(telling) else container_id
    for name in (
        "container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "container_memory_rss",
        "container_start_time_seconds", "container_processes", "container_spec_cpu_shares",
    ):  # fmt: skip
        processes.wait_until(lambda n=name: lines(n), 40, f"{name} of {telling.namespace}")  # type: ignore[misc]
    if not _from_cri(telling):
        return
    assert lines("container_fs_usage_bytes")
    received = lines("container_network_receive_bytes_total")
    assert any('pod="busy"' in line and 'interface="eth0"' in line for line in received), received
    assert any('container="main"' in line for line in lines("container_cpu_usage_seconds_total"))


def test_a_log_is_rotated_under_a_container_that_writes(kube: Kube, cluster: Cluster) -> None:
    small = {"containerLogMaxSize": "64Ki", "containerLogMaxFiles": 3, "containerLogMonitorInterval": "3s"}
    nodes.restart_kubelet(cluster.nodes[0], small)
    try:
        script = "i=0; while [ $i -lt 6000 ]; do echo line $i of a log that grows and grows; i=$((i+1)); "
        kube.apply(pod("chatty", container("main", script + "[ $((i % 200)) = 0 ] && sleep 0.5; done; sleep 3600")))
        kube.ready("chatty")
        uid = kube.pod("chatty")["metadata"]["uid"]
        logs = cluster.nodes[0].directory / "log/pods" / f"{kube.namespace}_chatty_{uid}" / "main"
        processes.wait_until(lambda: len(list(logs.glob("0.log.*"))) >= 2, 60, "two rotated logs")
        kube.until("pods/chatty", lambda _: "line 5999 " in kube.logs("chatty", "--tail=1"), 60)
        numbers = [int(n) for n in re.findall(r"line (\d+) ", kube.logs("chatty"))]
        assert numbers == list(range(numbers[0], 6000))
        assert len(list(logs.iterdir())) <= 4
    finally:
        nodes.restart_kubelet(cluster.nodes[0])


@pytest.mark.parametrize("handler", ["runc", "crun", "absent"])
def test_a_runtime_class_names_the_handler(kube: Kube, handler: str) -> None:
    if handler == "crun" and _hybrid():
        pytest.skip("crun refuses cgroup v1 while controllers are left on v2")
    name = f"{kube.namespace}-{handler}"
    kube.apply({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": handler})
    try:
        kube.apply(pod("classy", container("main", "echo up"), runtimeClassName=name))
        if handler not in _handlers(kube):
            kube.until("pods/classy", lambda _: any(handler in event for event in kube.events("classy")))
        else:
            kube.ended("classy")
            assert kube.logs("classy") == "up\n"
    finally:
        kube("delete", "runtimeclass", name)
        kube.delete("pod", "classy")


def test_a_node_tells_what_its_runtime_can(kube: Kube) -> None:
    status = kube.api("/api/v1/nodes/node1")["status"]
    handlers = {item["name"]: item.get("features", {}) for item in status["runtimeHandlers"]}
    assert "" in handlers and handlers["runc"]["recursiveReadOnlyMounts"] in (True, False)
    assert status["nodeInfo"]["containerRuntimeVersion"].startswith("criserver://")
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False",
    }  # fmt: skip
    assert any("busybox" in name for item in status["images"] for name in item["names"])


@pytest.mark.parametrize("evented", [True, False])
def test_the_kubelet_learns_of_ends_by_events_or_by_looking(kube: Kube, cluster: Cluster, evented: bool) -> None:
    nodes.restart_kubelet(cluster.nodes[0], {"featureGates": {"EventedPLEG": evented}})
    try:
        kube.apply(*(pod(f"short-{n}", container("main", "sleep 1; exit 3")) for n in range(3)))
        for n in range(3):
            ended = container_status(kube.ended(f"short-{n}"))["state"]["terminated"]
            assert ended["exitCode"] == 3
        metrics = str(kube.api(f"{PROXY}/metrics"))
        seconds = _metric(metrics, "kubelet_evented_pleg_connection_success_count")
        assert bool(seconds) is evented
    finally:
        nodes.restart_kubelet(cluster.nodes[0])


@pytest.mark.parametrize("streaming", [True, False])
def test_the_kubelet_lists_by_streams_or_by_pages(kube: Kube, cluster: Cluster, streaming: bool) -> None:
    complaints = len(_complaints(cluster, "ListPodSandbox"))
    nodes.restart_kubelet(cluster.nodes[0], {"featureGates": {"CRIListStreaming": streaming}})
    try:
        before = _calls(cluster)
        kube.apply(pod("listed", container("main", "sleep 2")))
        kube.ended("listed")
        made = _calls(cluster) - before
        assert (made["StreamPodSandboxes"] > 0, made["ListPodSandbox"] > 0) == (streaming, not streaming)
        assert (made["StreamContainers"] > 0, made["ListContainers"] > 0) == (streaming, not streaming)
        assert len(_complaints(cluster, "ListPodSandbox")) == complaints
    finally:
        nodes.restart_kubelet(cluster.nodes[0])


@pytest.mark.first
def test_the_kubelet_has_no_complaint_about_the_runtime(kube: Kube, cluster: Cluster) -> None:
    kube.apply(pod("plain", agn()))
    kube.ready("plain")
    kube.delete("pod", "plain")
    time.sleep(2)
    text = processes.logfile(cluster, "node1-kubelet").read_text()
    assert "Using cgroup driver setting received from the CRI runtime" in text
    for word in ("Unimplemented", "DeadlineExceeded", "is reserved", "PLEG is not healthy: pleg was last seen"):
        assert word not in text


def _complete(found: Any) -> bool:
    containers = found.get("containers", [])
    known = all(part in item for item in containers for part in STATS)
    return len(containers) == 2 and known and all("usageNanoCores" in item["cpu"] for item in containers)


def _pod(summary: Any, kube: Kube, name: str) -> Any:
    wanted = {"name": name, "namespace": kube.namespace}
    return next((p for p in summary["pods"] if {k: p["podRef"][k] for k in wanted} == wanted), {})


def _from_cri(kube: Kube) -> bool:
    return SOURCES[kube.namespace.removeprefix("stats-")]


def _hybrid() -> bool:
    left = [Path(hierarchy, "cgroup.controllers") for hierarchy in hierarchies()]
    return len(left) > 1 and any(path.exists() and path.read_text().strip() for path in left)


def _handlers(kube: Kube) -> set[str]:
    return {item["name"] for item in kube.api("/api/v1/nodes/node1")["status"]["runtimeHandlers"]}


def _calls(cluster: Cluster) -> Counter[str]:
    """How often each RPC was called, as the server counts it."""
    text = network.inside(cluster.nodes[0], "wget", "-qO-", "http://127.0.0.1:9180/metrics")
    found = re.findall(r'criserver_rpc_total\{[^}]*method="(\w+)"[^}]*\} (\S+)', text)
    return sum((Counter({name: int(float(count))}) for name, count in found), Counter())


def _metric(text: str, name: str) -> float:
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def _complaints(cluster: Cluster, word: str) -> list[str]:
    lines = processes.logfile(cluster, "node1-kubelet").read_text().splitlines()
    return [line for line in lines if line.startswith("E") and word in line]
