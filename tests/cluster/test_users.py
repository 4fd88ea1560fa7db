"""Pods with user namespaces of their own (hostUsers: false): root inside, nobody outside, volumes all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster.kube import Kube, container_status
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import PAUSE, config_map, container, pod

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def runtime_class(kube: Kube) -> str:
    """A RuntimeClass whose handler maps users: "" for the node's default, else that of a current runc."""
    handlers = kube.api("/api/v1/nodes/node1")["status"]["runtimeHandlers"]
    able = {item["name"] for item in handlers if item.get("features", {}).get("userNamespaces")}
    if "" in able:
        return ""
    if "runc-current" not in able:
        pytest.skip("the node's runc maps no users in mounts; hack/tools runc builds one that does")
    meta = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "mapped"}}
    kube.apply({**meta, "handler": "runc-current"})
    return "mapped"


def test_root_in_a_pod_is_nobody_outside_of_it(kube: Kube, cluster: Cluster, runtime_class: str) -> None:
    kube.apply(config_map("settings", colour="blue"))
    volumes = [{"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "settings"}}]
    mounts = [{"name": "v", "mountPath": "/v"}, {"name": "c", "mountPath": "/c"}]
    main = container("main", f"id -u; cat /c/colour; echo; touch /v/x; ls -n /v/x; {PAUSE}", volumeMounts=mounts)
    more: dict[str, Any] = {"runtimeClassName": runtime_class} if runtime_class else {}
    pods = [pod(name, main, volumes=volumes, hostUsers=False, **more) for name in ("one", "two")]
    kube.apply(*pods)
    kube.ready("one", "two")
    owners = {name: _owner(kube, cluster, name) for name in ("one", "two")}
    assert min(owners.values()) >= 65536 and owners["one"] != owners["two"]
    for name in owners:
        user, colour, listed = kube.logs(name).splitlines()
        assert (user, colour) == ("0", "blue") and listed.split()[2:4] == ["0", "0"]
    assert kube.exec("one", "id", "-u") == "0\n"


def _owner(kube: Kube, cluster: Cluster, name: str) -> int:
    """Whose the container's first process is on this host."""
    container_id = container_status(kube.pod(name))["containerID"].rpartition("/")[2]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if cluster.cgroup in (text := (entry / "cgroup").read_text()) and container_id in text:
                    return entry.stat().st_uid
            except OSError:
                continue
    raise AssertionError(f"no process of {name}")
