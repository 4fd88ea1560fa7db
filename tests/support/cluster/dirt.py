"""What a node holds besides its daemons: what must be gone once every pod has been deleted."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import grpc

from criserver.api.pb import api_pb2 as pb
from tests.support.cluster import network, processes, runtimes
from tests.support.cluster.cgroups import hierarchies
from tests.support.cluster.layout import Cluster, Node
from tests.support.server import comm


def dirt(cluster: Cluster) -> list[str]:
    """Everything that pods may have left on any of the nodes; images are no dirt."""
    return [f"{node.name}: {what}" for node in cluster.nodes for what in _of(node)]


def _of(node: Node) -> list[str]:
    state, root = node.directory / "state", node.directory / "root"
    found = [f"pod {name}" for name in pods(node)]
    found += [f"monitor {pid}" for pid in monitors(node)]
    found += [f"mount {target}" for target in mounts(node)]
    found += [f"cgroup {path}" for path in pod_cgroups(node)]
    found += [f"lease {path.name}" for path in (node.directory / "leases").rglob("10.*")]
    found += [f"row {row}" for row in rows(root / "criserver.db")]
    found += [f"directory {path}" for part in ("sandboxes", "containers") for path in (state / part).glob("*")]
    found += [f"directory {path}" for path in (root / "containers").glob("*")]
    links, rules = network.inside(node, "ip", "-br", "link"), network.inside(node, "iptables-save")
    found += [f"link {line.split()[0]}" for line in links.splitlines() if line.startswith("veth")]
    found += [f"rule {rule}" for rule in rules.splitlines() if "CNI-DN-" in rule]
    return found


def pods(node: Node, *, ready: bool = False) -> list[str]:
    """Sandboxes that the server knows; only those that are ready, if asked for."""
    try:
        with runtimes.connected(node) as client:
            items = client("ListPodSandbox", pb.ListPodSandboxRequest()).items
            return [item.metadata.name for item in items if not ready or item.state == pb.SANDBOX_READY]
    except grpc.RpcError as error:
        return [f"unknown: {error}"]


def monitors(node: Node) -> list[int]:
    """Processes of the node that watch containers: monitors and pod inits, or shims."""
    if node.cluster.runtime == "containerd":
        mine = str(node.directory)
        return [pid for pid in processes.marked(node.cluster.directory) if _is_shim(pid, mine)]
    found: set[int] = set()
    for hierarchy in hierarchies():
        with contextlib.suppress(OSError):
            found.update(map(int, Path(f"{hierarchy}{node.monitors_cgroup}/cgroup.procs").read_text().split()))
    return sorted(pid for pid in found if comm(pid) not in ("conmon-zygote", "gone"))


def _is_shim(pid: int, directory: str) -> bool:
    with contextlib.suppress(OSError):
        return comm(pid).startswith("containerd-shim") and directory in Path(f"/proc/{pid}/cmdline").read_text()
    return False


def mounts(node: Node) -> list[str]:
    """Mounts of pods in the node's mount namespace: roots, pinned namespaces, volumes."""
    holder = processes.pid(node.cluster, f"{node.name}-namespaces")
    lines = Path(f"/proc/{holder}/mountinfo").read_text().splitlines()
    targets = [line.split()[4] for line in lines]
    places = (f"{node.directory}/state/", f"{node.directory}/root/", "/var/lib/kubelet/pods/")
    return [target for target in targets if target.startswith(places) and target not in node.binds]


def pod_cgroups(node: Node) -> list[str]:
    """Cgroups of pods in any hierarchy."""
    tops = [hierarchy + node.cgroup for hierarchy in hierarchies()]
    return [
        os.path.join(directory, name)
        for top in tops
        for directory, names, _ in os.walk(top)
        for name in names
        if name.startswith("pod")
    ]


def rows(database: Path) -> list[str]:
    """Rows of pods, containers and unfinished steps, looked at behind the server's back."""
    if not database.exists():
        return []
    tables = {"sandboxes": "id", "containers": "id", "journal": "subject"}
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [
            f"{table} {subject}"
            for table, column in tables.items()
            for (subject,) in connection.execute(f"SELECT {column} FROM {table}")
        ]
