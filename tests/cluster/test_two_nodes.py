"""Two nodes: pods of each reach those of the other, also while a node's server is killed and comes back."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import namespace, running
from tests.support.cluster import addon, network, nodes, processes, programs, runtimes
from tests.support.cluster.kube import Kube
from tests.support.cluster.layout import Cluster, Node
from tests.support.cluster.manifests import agn, container, pod, service

pytestmark = pytest.mark.timeout(300)

GET = "timeout 2 wget -qO- http://{}/hostname"


@pytest.fixture(scope="module", params=["routes", "flannel"])
def pair(images: list[Path], request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes whose pods reach each other by routes, or by Flannel's overlay."""
    if lacking := programs.missing(pod_network=request.param):
        pytest.skip(lacking)
    with running(images, node_count=2, pod_network=request.param) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kube(pair: Cluster) -> Iterator[Kube]:
    """A namespace with a server and a client on each node, and a Service over both servers."""
    with namespace(pair, "both") as made:
        for node in pair.nodes:
            made.apply(_on(node.name, pod(f"server-{node.name}", agn("main", "netexec"), labels={"app": "web"})))
            made.apply(_on(node.name, pod(f"client-{node.name}", container())))
        made.apply(service("web", 80, 8080))
        made.ready(*(f"{role}-{node.name}" for node in pair.nodes for role in ("server", "client")))
        yield made


def test_pods_reach_each_other_across_nodes_with_their_own_addresses(kube: Kube, pair: Cluster) -> None:
    for here in pair.nodes:
        for there in pair.nodes:
            address = kube.pod(f"server-{there.name}")["status"]["podIP"]
            get = f"timeout 5 wget -qO- http://{address}:8080/"
            assert kube.exec(f"client-{here.name}", "sh", "-c", get + "hostname") == f"server-{there.name}"
            own = kube.pod(f"client-{here.name}")["status"]["podIP"]
            assert kube.exec(f"client-{here.name}", "sh", "-c", get + "clientip").startswith(own + ":")


def test_a_service_covers_both_nodes(kube: Kube, pair: Cluster) -> None:
    address = kube.api("services/web")["spec"]["clusterIP"]
    for node in pair.nodes:
        client = f"client-{node.name}"
        kube.exec(client, "sh", "-c", f"until {GET.format(address)}; do sleep 0.2; done")
        names = kube.exec(client, "sh", "-c", f"for i in $(seq 40); do {GET.format(address)}; echo; done").split()
        assert set(names) == {"server-node1", "server-node2"} and len(names) == 40


def test_large_packets_pass_whole(kube: Kube, pair: Cluster) -> None:
    mtu = kube.exec("client-node1", "cat", "/sys/class/net/eth0/mtu").strip()
    assert mtu == ("1450" if pair.pod_network == addon.FLANNEL else "1500")
    serve = "mkdir /www; head -c 8000000 /dev/urandom >/www/file; httpd -p 8090 -h /www; sha256sum </www/file"
    sent = kube.exec("client-node2", "sh", "-c", serve)
    address = kube.pod("client-node2")["status"]["podIP"]
    fetch = f"timeout 20 wget -qO- http://{address}:8090/file | sha256sum"
    assert kube.exec("client-node1", "sh", "-c", fetch) == sent


def test_packets_go_the_way_that_was_asked_for(kube: Kube, pair: Cluster) -> None:
    here, there = pair.nodes
    address = kube.pod("server-node2")["status"]["podIP"]
    way = network.inside(here, "ip", "route", "get", address)
    if pair.pod_network != addon.FLANNEL:
        assert f"via {there.address} dev eth0" in way
        return
    assert "dev flannel.1" in way
    before = {node.name: _carried(node) for node in pair.nodes}
    kube.exec("client-node1", "sh", "-c", f"for i in $(seq 20); do {GET.format(address + ':8080')}; done")
    for node in pair.nodes:
        assert "vxlan id" in network.inside(node, "ip", "-details", "link", "show", "flannel.1")
        assert _carried(node) >= before[node.name] + 20


def test_traffic_goes_on_while_a_nodes_daemons_are_killed_and_come_back(kube: Kube, pair: Cluster) -> None:
    there, address = pair.nodes[1], kube.pod("server-node2")["status"]["podIP"]
    script = f"while :; do timeout 2 wget -qO- http://{address}:8080/hostname && echo || echo LOST; sleep 0.1; done"
    with subprocess.Popen(
        kube.command("exec", "client-node1", "--", "sh", "-c", script), stdout=subprocess.PIPE, text=True
    ) as traffic:
        time.sleep(2)
        for _ in range(3):
            processes.stop(pair, runtimes.name(there), how=signal.SIGKILL)
            processes.stop(pair, f"{there.name}-flanneld", how=signal.SIGKILL)  # where there is one
            time.sleep(1)
            runtimes.run(there)
            nodes.settle(there)
        time.sleep(2)
        traffic.terminate()
        assert traffic.stdout
        said = traffic.stdout.read().split()
    assert len(said) > 40 and set(said) == {"server-node2"}
    # the kubelet dials again after a while
    kube.until("pods/client-node2", lambda _: kube.run("exec", "client-node2", "--", "true").returncode == 0)


def _carried(node: Node) -> int:
    """Packets that came in by the overlay."""
    link = json.loads(network.inside(node, "ip", "-stats", "-json", "link", "show", "flannel.1"))[0]
    return int(link["stats64"]["rx"]["packets"])


def _on(node: str, manifest: dict[str, Any]) -> dict[str, Any]:
    manifest["spec"]["nodeName"] = node
    return manifest
