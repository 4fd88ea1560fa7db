"""The network of pods across nodes, as an add-on makes it: routes between nodes, or Flannel's overlay."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from tests.support.cluster import network, processes, programs
from tests.support.cluster.layout import POD_NETWORK, Node

FLANNEL = "flannel"
_BRIDGE_FILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables"


def configure(node: Node, subnet: str) -> None:
    """See that pods of `subnet`, which the API server gave the node, reach those of other nodes; once that is so, write
    the node's CNI configuration."""
    path = node.conf_dir / "10-cluster.conflist"
    if node.cluster.pod_network == FLANNEL:
        bridge = {"mtu": run_flannel(node)}
    else:
        bridge = {}
        if not path.exists():
            _tell_others(node, subnet)
    if not path.exists():
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(_conflist(node, subnet, bridge), indent=2))
        draft.rename(path)


def run_flannel(node: Node) -> int:
    """Start Flannel's daemon unless it runs, and wait until the overlay is there; its MTU.

    The daemon asks the API server for the node's subnet, and ends when there is none: the kubelet comes first.
    """
    cluster, directory = node.cluster, node.directory / FLANNEL
    name, lease = f"{node.name}-flanneld", directory / "subnet.env"
    if not processes.pid(cluster, name):
        directory.mkdir(exist_ok=True)
        (directory / "net-conf.json").write_text(json.dumps(_overlay()))
        argv = [
            programs.path("flanneld"), "--kube-subnet-mgr", f"--kubeconfig-file={cluster.kubeconfig}", "--iface=eth0",
            f"--net-config-path={directory}/net-conf.json", f"--subnet-file={lease}", "--ip-masq",
        ]  # fmt: skip
        processes.start(cluster, name, argv, node=node, env={"NODE_NAME": node.name})
    processes.await_ready(cluster, name, lease.exists)
    told = dict(line.split("=", 1) for line in lease.read_text().splitlines())
    return int(told["FLANNEL_MTU"])


def _overlay() -> Mapping[str, Any]:
    # A kernel that does not show packets on bridges to iptables may do with nftables.
    nftables = not os.path.exists(_BRIDGE_FILTER)
    return {"Network": POD_NETWORK, "Backend": {"Type": "vxlan"}, "EnableNFTables": nftables}


def _tell_others(node: Node, subnet: str) -> None:
    for other in node.cluster.nodes:
        if other != node:
            name = f"{other.name}-namespaces"
            processes.wait_until(lambda n=name: processes.pid(node.cluster, n), 30, name)  # type: ignore[misc]
            network.route(other, subnet, node)


def _conflist(node: Node, subnet: str, more: Mapping[str, Any]) -> Mapping[str, Any]:
    """What Flannel's own plugin hands to these plugins too."""
    bridge = {
        "type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, **more,
        "ipam": {
            "type": "host-local", "ranges": [[{"subnet": subnet}]], "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": f"{node.directory}/leases",
        },
    }  # fmt: skip
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    bandwidth = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
    plugins = [bridge, portmap, *([bandwidth] if _has_plugin("bandwidth") else [])]
    return {"cniVersion": "1.0.0", "name": "cluster", "plugins": plugins}


def _has_plugin(name: str) -> bool:
    return any(os.path.exists(f"{directory}/{name}") for directory in programs.cni_dirs())
