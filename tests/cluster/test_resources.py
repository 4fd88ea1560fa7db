"""Limits, cgroups, what a node tells of use, and limits that change under running containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cluster.cgroups import hierarchies
from tests.support.cluster.kube import Kube, container_status, restarts
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import container, pod

pytestmark = pytest.mark.timeout(300)

QUALITIES = {
    "guaranteed": {"limits": {"cpu": "100m", "memory": "32Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}},
    "burstable": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "50m"}},
    "besteffort": {},
}


@pytest.mark.first
def test_a_container_that_takes_too_much_memory_is_shown_as_oom_killed(kube: Kube) -> None:
    eat = container("main", "tail /dev/zero", resources={"limits": {"memory": "16Mi"}})
    kube.apply(pod("greedy", eat))
    ended = container_status(kube.ended("greedy"))["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_limits_and_qualities_of_service_are_cgroups(kube: Kube, cluster: Cluster) -> None:
    kube.apply(*(pod(name, container(resources=resources)) for name, resources in QUALITIES.items()))
    kube.ready(*QUALITIES)
    found = {name: _cgroup(kube, cluster, name, "memory") for name in QUALITIES}
    assert "burstable" in str(found["burstable"]) and "besteffort" in str(found["besteffort"])
    assert _number(found["guaranteed"], "memory.limit_in_bytes", "memory.max") == 32 << 20
    cpu = _cgroup(kube, cluster, "guaranteed", "cpu")
    assert _number(cpu, "cpu.cfs_quota_us", "cpu.max") == 10000


def test_limits_change_while_a_container_runs(kube: Kube) -> None:
    kube.apply(pod("grown", container(resources=QUALITIES["guaranteed"])))
    kube.ready("grown")
    more = {"limits": {"cpu": "200m", "memory": "48Mi"}, "requests": {"cpu": "200m", "memory": "48Mi"}}
    patch = {"spec": {"containers": [{"name": "main", "resources": more}]}}
    kube("patch", "pod", "grown", "--subresource=resize", f"--patch={json.dumps(patch)}")
    kube.until("pods/grown", lambda item: container_status(item).get("resources") == more)
    files = ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"]  # version 1 or 2
    assert kube.run("exec", "grown", "--", "cat", *files).stdout.strip() == str(48 << 20)
    assert restarts(kube.pod("grown")) == 0


def test_a_container_is_started_again_for_a_resize_that_asks_for_it(kube: Kube) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    kube.apply(
        pod("again", container(resources=QUALITIES["guaranteed"], resizePolicy=policy), restartPolicy="Always")
    )
    kube.ready("again")
    more = {"limits": {"cpu": "100m", "memory": "40Mi"}, "requests": {"cpu": "100m", "memory": "40Mi"}}
    patch = {"spec": {"containers": [{"name": "main", "resources": more}]}}
    kube("patch", "pod", "again", "--subresource=resize", f"--patch={json.dumps(patch)}")
    kube.until("pods/again", lambda item: restarts(item) == 1 and container_status(item).get("resources") == more)


def test_limits_of_a_pod_change_while_it_runs(kube: Kube, cluster: Cluster) -> None:
    kube.apply(pod("whole", container(), container("other"), resources=QUALITIES["guaranteed"]))
    kube.ready("whole")
    path = _cgroup(kube, cluster, "whole", "memory").parent
    assert _number(path, "memory.limit_in_bytes", "memory.max") == 32 << 20
    more = {"limits": {"cpu": "200m", "memory": "48Mi"}, "requests": {"cpu": "200m", "memory": "48Mi"}}
    kube("patch", "pod", "whole", "--subresource=resize", f"--patch={json.dumps({'spec': {'resources': more}})}")
    kube.until("pods/whole", lambda item: item["status"].get("resources") == more)
    assert _number(path, "memory.limit_in_bytes", "memory.max") == 48 << 20
    assert restarts(kube.pod("whole")) == restarts(kube.pod("whole"), "other") == 0


def test_a_pod_that_writes_more_than_it_may_is_evicted(kube: Kube) -> None:
    fill = "dd if=/dev/zero of=/data/x bs=1M count=24 2>/dev/null; while :; do sleep 1; done"
    limit = {"resources": {"limits": {"ephemeral-storage": "8Mi"}}}
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    volume = {"name": "v", "emptyDir": {"sizeLimit": "8Mi"}}
    kube.apply(
        pod("layer", container("main", f"mkdir /data; {fill}", **limit)),
        pod("log", container("main", "yes | head -c 24000000; while :; do sleep 1; done", **limit)),
        pod("volume", container("main", fill, **mounts), volumes=[volume]),
        pod("modest", container("main", "while :; do sleep 1; done", **limit)),
    )
    storage = "ephemeral local storage"
    for name, words in {"layer": storage, "log": storage, "volume": "EmptyDir"}.items():
        status = kube.ended(name, 150)["status"]
        assert status["reason"] == "Evicted" and words in status["message"], status
    assert kube.pod("modest")["status"]["phase"] == "Running"


def _cgroup(kube: Kube, cluster: Cluster, name: str, controller: str) -> Path:
    """The cgroup of a pod's container in a hierarchy of version 1, or version 2's."""
    status = kube.pod(name)
    container_id = container_status(status)["containerID"].rpartition("/")[2]
    tops = [Path(h + cluster.nodes[0].cgroup) for h in hierarchies() if controller in h.split("/")[-1].split(",")]
    for top in tops or [Path(h + cluster.nodes[0].cgroup) for h in hierarchies()]:
        for path in top.rglob(f"*{container_id}*"):
            return path
    raise AssertionError(f"no cgroup of {name}'s container {container_id}")


def _number(directory: Path, v1: str, v2: str) -> int:
    path = directory / v1
    return int((path if path.exists() else directory / v2).read_text().split()[0])
