"""What runs on a node: CRI server, kubelet, kube-proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tests.support.cluster import addon, cgroups, control_plane, network, processes, programs, runtimes
from tests.support.cluster.layout import POD_NETWORK, Node
from tests.support.cluster.processes import pid, start


def run(node: Node) -> None:
    """Start what does not run yet; namespaces first."""
    ensure_namespaces(node)
    runtimes.run(node)
    run_kubelet(node)
    run_proxy(node)


def ensure_namespaces(node: Node) -> None:
    """Make the node's namespaces unless they are there."""
    if not pid(node.cluster, f"{node.name}-namespaces"):
        network.plug(node)


def run_kubelet(node: Node, more: Mapping[str, Any] | None = None) -> None:
    """Start the kubelet unless it runs, configured by the node's needs, the cluster's wishes, and `more`."""
    if pid(node.cluster, f"{node.name}-kubelet"):
        return
    node.manifests.mkdir(parents=True, exist_ok=True)
    cgroups.make(node.cgroup)
    path = node.directory / "kubelet.yaml"
    path.write_text(yaml.safe_dump({**kubelet_configuration(node), **(more or {})}))
    program = programs.path(programs.kubelet(node.cluster.kubelet_version))
    argv = [
        program, f"--config={path}", f"--kubeconfig={node.cluster.kubeconfig}",
        f"--hostname-override={node.name}", f"--node-ip={node.address}", "--v=2",
    ]  # fmt: skip
    start(node.cluster, f"{node.name}-kubelet", argv, node=node)


def restart_kubelet(node: Node, more: Mapping[str, Any] | None = None) -> None:
    """Stop the kubelet and start it with `more` in its configuration; waits until the node is Ready."""
    processes.stop(node.cluster, f"{node.name}-kubelet")
    run_kubelet(node, more)
    processes.wait_until(lambda: is_ready(node), 60, f"{node.name} to be Ready")


def run_proxy(node: Node) -> None:
    """Start kube-proxy unless it runs."""
    if pid(node.cluster, f"{node.name}-kube-proxy"):
        return
    argv = [
        programs.path("kube-proxy"), f"--kubeconfig={node.cluster.kubeconfig}", f"--hostname-override={node.name}",
        f"--cluster-cidr={POD_NETWORK}", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s", *control_plane.gates(node.cluster),
    ]  # fmt: skip
    start(node.cluster, f"{node.name}-kube-proxy", argv, node=node)


def kubelet_configuration(node: Node) -> Mapping[str, Any]:
    """KubeletConfiguration: what a node in a namespace needs, and over it what the cluster was asked for."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupRoot": node.cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # a host may not let it be lower
        "staticPodPath": str(node.manifests),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "clusterDomain": "cluster.local",
        **node.cluster.kubelet,
    }


def settle(node: Node) -> bool:
    """Give the node its network once the API server has given it a subnet; whether it is Ready by now."""
    found = _of_api(node)
    if subnet := found.get("spec", {}).get("podCIDR"):
        addon.configure(node, subnet)
    return _ready(found)


def is_ready(node: Node) -> bool:
    """Whether the API server holds the node for Ready."""
    return _ready(_of_api(node))


def _of_api(node: Node) -> Mapping[str, Any]:
    """{} while it is not known."""
    try:
        return dict(control_plane.get(node.cluster, f"/api/v1/nodes/{node.name}"))
    except OSError:
        return {}


def _ready(found: Mapping[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
