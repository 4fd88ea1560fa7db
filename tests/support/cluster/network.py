"""Links, namespaces and routes: a bridge on this host, and a network and mount namespace for each node."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from dataclasses import replace

from tests.support.cluster import processes
from tests.support.cluster.layout import POD_NETWORK, Cluster, Node


def claim(cluster: Cluster) -> Cluster:
    """The cluster with a number that no other has, its bridge made and remembered."""
    for number in range(100):
        numbered = replace(cluster, number=number)
        numbered.save()  # before the link is there: `down` finds what a cut `up` made
        if _ip("link", "add", numbered.bridge, "type", "bridge", check=False):
            _ip("address", "add", f"{numbered.gateway}/24", "dev", numbered.bridge)
            _ip("link", "set", numbered.bridge, "up")
            return numbered
    (cluster.directory / "cluster.json").unlink()
    raise processes.Failed("a hundred clusters are up, or this host makes no bridge: try `ip link add x type bridge`")


def plug(node: Node) -> None:
    """Make the node's namespaces, held by a process, and its link; the kubelet's places are bound there.

    The mounts of a node are its own: they end with its processes. Within, everything is shared, as kubelets want it.
    """
    cluster, name = node.cluster, f"{node.name}-namespaces"
    for place, source in node.binds.items():
        source.mkdir(parents=True, exist_ok=True)
        os.makedirs(place, exist_ok=True)
    binds = "; ".join(f"mount --bind {source} {place}" for place, source in node.binds.items())
    script = f"set -e; mount --make-rshared /; {binds}; ip link set lo up; exec sleep infinity"
    pid = processes.start(cluster, name, ["unshare", "--net", "--mount", "--propagation=private", "sh", "-c", script])
    processes.await_ready(cluster, name, lambda: _comm(pid) == "sleep", 10)
    _ip("link", "add", node.link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    _ip("link", "set", node.link, "master", cluster.bridge, "up")
    inside(node, "ip", "address", "add", f"{node.address}/24", "dev", "eth0")
    inside(node, "ip", "link", "set", "eth0", "up")
    inside(node, "ip", "route", "add", "default", "via", cluster.gateway)
    if cluster.pod_network == "routes":  # an overlay brings its own
        masquerade = ("-s", POD_NETWORK, "!", "-d", POD_NETWORK, "-j", "MASQUERADE")
        inside(node, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", *masquerade)
    inside(node, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def route(node: Node, subnet: str, via: Node) -> None:
    """Send what is for another node's pods to that node (host-gw)."""
    inside(node, "ip", "route", "replace", subnet, "via", via.address)


def inside(node: Node, *argv: str) -> str:
    """Run a command in the node's namespaces; what it prints. Failed with its own words."""
    return _run([*processes.within(node), *argv])


def unplug(cluster: Cluster) -> None:
    """Take the links away; those of nodes whose processes are gone are gone already."""
    for link in (*(node.link for node in cluster.nodes), cluster.bridge):
        _ip("link", "delete", link, check=False)
    if others():
        return  # removing a directory takes away what is mounted on it in their namespaces
    for node in cluster.nodes:
        for place in node.binds:
            with contextlib.suppress(OSError):
                os.rmdir(place)  # made by `plug` where there was none: a directory with anything in it stays


def others() -> list[str]:
    """Bridges of clusters that are up."""
    return [name for name in os.listdir("/sys/class/net") if re.fullmatch(r"crik\d+", name)]


def _ip(*arguments: str, check: bool = True) -> bool:
    try:
        _run(["ip", *arguments])
    except processes.Failed:
        if check:
            raise
        return False
    return True


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise processes.Failed(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _comm(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return ""
