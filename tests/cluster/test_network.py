"""Pods and Services on the network: addresses, ports of the host, its network, names."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import urllib.request
from typing import Any

import pytest

from tests.support.cluster import network
from tests.support.cluster.kube import Kube
from tests.support.cluster.layout import POD_NETWORK, Cluster
from tests.support.cluster.manifests import agn, container, pod, service, workload

pytestmark = pytest.mark.timeout(300)

SERVER = ("netexec", "--http-port=8080")
GET = "timeout 2 wget -qO- http://{}/hostname"


@pytest.mark.first
def test_a_service_spreads_requests_over_its_pods(kube: Kube, cluster: Cluster) -> None:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    web = workload("Deployment", "web", agn("main", *SERVER, readinessProbe=probe), replicas=2)
    kube.apply(web, service("web", 80, 8080))
    kube("rollout", "status", "deployment/web", "--timeout=90s")
    kube.apply(pod("client"))
    kube.ready("client")
    address = kube.api("services/web")["spec"]["clusterIP"]
    kube.exec("client", "sh", "-c", f"until {GET.format(address)}; do sleep 0.2; done")
    names = kube.exec("client", "sh", "-c", f"for i in $(seq 40); do {GET.format(address)}; echo; done").split()
    pods = {item["metadata"]["name"] for item in kube.api("pods?labelSelector=app%3Dweb")["items"]}
    assert len(names) == 40 and set(names) == pods
    assert network.inside(cluster.nodes[0], "sh", "-c", f"wget -qO- http://{address}/hostname") in pods


def test_a_pod_reaches_itself_by_its_service(kube: Kube) -> None:
    labels = {"app": "self"}
    kube.apply(pod("self", agn("main", *SERVER), labels=labels), service("self", 80, 8080))
    kube.ready("self")
    address = kube.api("services/self")["spec"]["clusterIP"]
    assert kube.exec("self", "sh", "-c", f"until {GET.format(address)}; do sleep 0.2; done") == "self"


def test_ports_of_the_host_and_of_a_node_lead_to_pods(kube: Kube, cluster: Cluster) -> None:
    ports = [{"containerPort": 8080, "hostPort": 18080}]
    kube.apply(
        pod("web", agn("main", *SERVER, ports=ports), labels={"app": "web"}),
        service("web", 80, 8080, type="NodePort"),
    )
    kube.ready("web")
    node_port = kube.api("services/web")["spec"]["ports"][0]["nodePort"]
    address = cluster.nodes[0].address
    assert _get(f"http://{address}:18080/hostname") == "web"
    kube.until("pods/web", lambda _: _answers(f"http://{address}:{node_port}/hostname"))
    kube.delete("pod", "web")
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((address, 18080), 2)


@pytest.mark.first
def test_a_pod_may_use_the_hosts_network(kube: Kube, cluster: Cluster) -> None:
    kube.apply(pod("host", agn("main", "netexec", "--http-port=18081"), hostNetwork=True))
    kube.ready("host")
    assert kube.pod("host")["status"]["podIP"] == cluster.nodes[0].address
    assert _get(f"http://{cluster.nodes[0].address}:18081/hostname") == os.uname().nodename


def test_pods_have_addresses_names_and_a_way_out(kube: Kube, cluster: Cluster) -> None:
    aliases = [{"ip": "10.9.8.7", "hostnames": ["elsewhere"]}]
    dns: dict[str, Any] = {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.1.2.3"], "searches": ["my.local"]}}
    script = "hostname -f; hostname -i; grep elsewhere /etc/hosts; cat /etc/resolv.conf; sysctl -n net.ipv4.{}"
    script = script.format("ip_unprivileged_port_start")
    sysctls = {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]}
    more: dict[str, Any] = {"hostname": "me", "subdomain": "sub", "hostAliases": aliases, "securityContext": sysctls}
    kube.apply(pod("named", container("main", script), **more, **dns))
    kube.ended("named")
    said = kube.logs("named")
    assert said.startswith(f"me.sub.{kube.namespace}.svc.cluster.local\n{POD_NETWORK[:6]}")
    assert "10.9.8.7\telsewhere" in said and "nameserver 10.1.2.3" in said and "search my.local" in said
    assert said.endswith("\n80\n")


def test_a_pod_talks_to_the_api_server(kube: Kube) -> None:
    main = agn("main", "inclusterclient", "--poll-interval=1")
    kube.apply(pod("inside", main))
    kube.ready("inside")
    kube.until("pods/inside", lambda _: "calling /healthz" in kube.logs("inside"))


def _answers(url: str) -> bool:
    """Whether kube-proxy knows the way already."""
    try:
        return bool(_get(url))
    except OSError:
        return False


def _get(url: str) -> str:
    """A page; a container runs some time before its program listens."""
    for _ in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
