"""Kubelets of earlier minor versions, with an API server of the current one: they ask a runtime in other ways."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import namespace, running
from tests.support.cluster import processes, programs, runtimes
from tests.support.cluster.kube import Kube, container_status, restarts
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import agn, container, pod, workload

pytestmark = pytest.mark.timeout(300)

OFTEN = {"periodSeconds": 1, "failureThreshold": 3, "timeoutSeconds": 5}
PROBES: dict[str, dict[str, Any]] = {
    "exec": {"exec": {"command": ["test", "-x", "/agnhost"]}},
    "http": {"httpGet": {"path": "/healthz", "port": 8080}},
    "tcp": {"tcpSocket": {"port": 8080}},
}


@pytest.fixture(scope="module", params=programs.OLDER_KUBELETS)
def old(images: list[Path], request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A node whose kubelet is of that version."""
    if lacking := programs.missing(kubelet_version=request.param):
        pytest.skip(lacking)
    with running(images, kubelet_version=request.param) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kube(old: Cluster) -> Iterator[Kube]:
    """A namespace with a pod "web" that is probed in every way."""
    with namespace(old, "old") as made:
        probed = [_probed(name, port) for port, name in enumerate(PROBES, 8080)]
        made.apply(pod("web", *probed, restartPolicy="Always"))
        made.ready("web")
        yield made


def test_it_is_older_than_the_api_server_and_ready(kube: Kube, old: Cluster) -> None:
    info = kube.api("/api/v1/nodes/node1")["status"]["nodeInfo"]
    assert info["kubeletVersion"].startswith(f"v{old.kubelet_version}.")
    assert kube.api("/version")["gitVersion"].startswith("v1.37.")
    assert info["containerRuntimeVersion"].startswith("criserver://")


def test_people_look_into_a_pod(kube: Kube) -> None:
    done = kube.run("exec", "-i", "web", "--container=exec", "--", "sh", "-c", "cat; exit 3", given="hello\n")
    assert (done.stdout, done.returncode) == ("hello\n", 3)
    assert "Started HTTP server on port 8080" in kube.logs("web", "--container=exec")
    kube.apply(pod("counter", container("main", "for i in 1 2 3 4; do echo $i; sleep 0.3; done")))
    kube.until("pods/counter", lambda item: item["status"]["phase"] != "Pending")
    assert kube.logs("counter", "-f").split() == list("1234")


def test_a_deployment_rolls(kube: Kube) -> None:
    kube.apply(workload("Deployment", "rolled", container(), replicas=3))
    kube("rollout", "status", "deployment/rolled", "--timeout=90s")
    kube("set", "env", "deployment/rolled", "GENERATION=2")
    kube("rollout", "status", "deployment/rolled", "--timeout=90s")


def test_limits_change_while_a_container_runs(kube: Kube) -> None:
    some = {"limits": {"cpu": "100m", "memory": "32Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}}
    more = {"limits": {"cpu": "200m", "memory": "48Mi"}, "requests": {"cpu": "200m", "memory": "48Mi"}}
    kube.apply(pod("grown", container(resources=some)))
    kube.ready("grown")
    patch = {"spec": {"containers": [{"name": "main", "resources": more}]}}
    kube("patch", "pod", "grown", "--subresource=resize", f"--patch={json.dumps(patch)}")
    kube.until("pods/grown", lambda item: container_status(item).get("resources") == more)
    assert restarts(kube.pod("grown")) == 0


def test_the_kubelet_tells_what_a_pod_uses(kube: Kube) -> None:
    def figures() -> Any:
        found = kube.api("/api/v1/nodes/node1/proxy/stats/summary")["pods"]
        pods = {item["podRef"]["name"]: item for item in found}
        return {item["name"]: item for item in pods.get("web", {}).get("containers", ())}

    def complete() -> bool:
        found = figures()
        return set(found) == set(PROBES) and all("usageNanoCores" in item.get("cpu", {}) for item in found.values())

    processes.wait_until(complete, 60, "figures of every container", 1)
    assert all(item["memory"]["workingSetBytes"] > 0 for item in figures().values())


def test_nothing_ends_when_the_server_is_killed(kube: Kube, old: Cluster) -> None:
    node = old.nodes[0]
    before = kube.pod("web")["status"]["containerStatuses"]
    processes.stop(old, runtimes.name(node), how=signal.SIGKILL)
    runtimes.run(node)
    kube.until("pods/web", lambda _: kube.run("exec", "web", "--container=exec", "--", "true").returncode == 0)
    kube.apply(pod("after", container("main", "echo made afterwards")))
    kube.ended("after")
    assert kube.logs("after") == "made afterwards\n"
    kube.ready("web")
    after = kube.pod("web")["status"]["containerStatuses"]
    assert [item["containerID"] for item in after] == [item["containerID"] for item in before]
    assert not any(item["restartCount"] for item in after)


def test_no_call_was_refused(kube: Kube, old: Cluster) -> None:
    text = processes.logfile(old, "node1-kubelet").read_text()
    assert "Using cgroup driver setting received from the CRI runtime" in text
    for word in ("Unimplemented", "is reserved", "PLEG is not healthy: pleg was last seen"):
        assert word not in text


def _probed(name: str, port: int) -> dict[str, Any]:
    """A server at a port of its own with a probe of this kind."""
    probe = {kind: {**how, "port": port} if "port" in how else how for kind, how in PROBES[name].items()}
    both = {when: {**probe, **OFTEN} for when in ("livenessProbe", "readinessProbe")}
    return agn(name, "netexec", f"--http-port={port}", f"--udp-port={port}", **both)
