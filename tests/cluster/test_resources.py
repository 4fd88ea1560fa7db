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
