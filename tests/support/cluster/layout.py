"""A cluster's names: directories, addresses, ports, cgroups. Pure, but for the file that remembers them.

All of a cluster lies below one directory, and what is outside of it bears the cluster's number, so that it can be
found and taken away whatever became of those who made it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from criserver.drivers.cgroups.cgroupfs import CgroupfsDriver
from criserver.wiring.powers import own_cgroup

POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
TOKEN = "hack-cluster"
MARK = "CRISERVER_CLUSTER"
"""In the environment of every process of a cluster: its directory."""


@dataclass(frozen=True)
class Cluster:
    """What `up` was asked for, and the number (0-99) that makes links, addresses and cgroups this cluster's own."""

    directory: Path
    number: int
    runtime: str = "criserver"
    node_count: int = 1
    kubelet: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    pod_network: str = "routes"
    kubelet_version: str = ""

    @property
    def nodes(self) -> list[Node]:
        """Its nodes; the first has the control plane too."""
        return [Node(self, number) for number in range(1, self.node_count + 1)]

    @property
    def bridge(self) -> str:
        """The link of this host that joins its nodes, and this host with them."""
        return f"crik{self.number}"

    @property
    def gateway(self) -> str:
        """This host, as nodes see it."""
        return f"10.250.{self.number}.1"

    @property
    def api(self) -> str:
        """The API server's URL."""
        return f"https://{self.nodes[0].address}:6443"

    @property
    def kubeconfig(self) -> Path:
        """For kubectl and for every component."""
        return self.directory / "kubeconfig"

    @property
    def cgroup(self) -> str:
        """Above the cgroups of all its pods."""
        return f"/crik{self.number}"

    def save(self) -> None:
        """Remember it for `load`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**asdict(self), "directory": str(self.directory)}, indent=2)
        (self.directory / "cluster.json").write_text(text)

    @classmethod
    def load(cls, directory: Path) -> Cluster | None:
        """The cluster below `directory`; None when there is none."""
        path = directory / "cluster.json"
        if not path.exists():
            return None
        fields = json.loads(path.read_text())
        return cls(**{**fields, "directory": Path(fields["directory"])})


@dataclass(frozen=True)
class Node:
    """A node: a network and a mount namespace with a CRI server, a kubelet and a kube-proxy; numbers begin at 1."""

    cluster: Cluster
    number: int

    @property
    def name(self) -> str:
        """As the API server knows it."""
        return f"node{self.number}"

    @property
    def directory(self) -> Path:
        """Everything of this node."""
        return self.cluster.directory / self.name

    @property
    def address(self) -> str:
        """Its InternalIP."""
        return f"10.250.{self.cluster.number}.{10 + self.number}"

    @property
    def link(self) -> str:
        """This host's end of the link to it."""
        return f"{self.cluster.bridge}n{self.number}"

    @property
    def socket(self) -> Path:
        """Where its CRI server listens."""
        return self.directory / "cri.sock"

    @property
    def conf_dir(self) -> Path:
        """CNI configurations."""
        return self.directory / "net.d"

    @property
    def manifests(self) -> Path:
        """Static pods."""
        return self.directory / "manifests"

    @property
    def cgroup(self) -> str:
        """The kubelet's cgroupRoot."""
        return f"{self.cluster.cgroup}/{self.name}"

    @property
    def binds(self) -> Mapping[str, Path]:
        """Directories that the kubelet has at fixed places, and where they are in truth."""
        return {"/var/lib/kubelet": self.directory / "kubelet", "/var/log": self.directory / "log"}

    @property
    def server_cgroup(self) -> str:
        """Where its CRI server is accounted; criserver's monitors have another."""
        return f"{self.cluster.cgroup}/{self.name}-server"

    @property
    def monitors_cgroup(self) -> str:
        """Where criserver keeps its monitors."""
        return own_cgroup(f"{self.directory}/state", CgroupfsDriver(()))
