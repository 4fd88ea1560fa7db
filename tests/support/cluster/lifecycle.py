"""Up and down: the order in which a cluster is made and taken away."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.cluster import control_plane, network, nodes, programs, teardown
from tests.support.cluster.layout import Cluster
from tests.support.cluster.processes import Failed, await_ready

DIRECTORY = Path("/var/lib/criserver-cluster")
READY_SECONDS = 90.0


def up(
    directory: Path = DIRECTORY,
    *,
    runtime: str = "criserver",
    node_count: int = 1,
    pod_network: str = "routes",
    kubelet_version: str = "",
    kubelet: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
) -> Cluster:
    """A cluster below `directory` whose nodes are all Ready; one that is there already gets what it lacks.

    `pod_network` is "routes" or "flannel"; `kubelet_version` "1.36" for a kubelet older than everything else.
    `kubelet` is laid over the KubeletConfiguration (its featureGates hold for everybody), `server` over criserver's.
    Failed when a program is missing or something does not start; what has been started then stays until `down`.
    """
    if os.geteuid() != 0:
        raise Failed("nodes are namespaces with containers in them: run this as root")
    wished = Cluster(directory, 0, runtime, node_count, kubelet or {}, server or {}, pod_network, kubelet_version)
    found = Cluster.load(directory)
    meant = found or wished
    if lacking := programs.missing(meant.runtime, meant.pod_network, meant.kubelet_version):
        raise Failed(lacking)
    cluster = found or network.claim(wished)
    teardown.save_sysctls()
    start(cluster)
    return cluster


def start(cluster: Cluster) -> None:
    """Start whatever of the cluster does not run, and wait until every node is Ready."""
    first, *others = cluster.nodes
    nodes.ensure_namespaces(first)
    control_plane.run(cluster)
    for node in (first, *others):
        nodes.run(node)
    for node in cluster.nodes:
        await_ready(cluster, f"{node.name}-kubelet", lambda n=node: nodes.settle(n), READY_SECONDS)  # type: ignore[misc]


def down(directory: Path = DIRECTORY) -> bool:
    """Take the cluster below `directory` away; False when there is none. Failed names what is left."""
    cluster = Cluster.load(directory)
    if cluster is None:
        return False
    teardown.down(cluster)
    return True
