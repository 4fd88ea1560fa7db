"""The CRI server of a node: criserver, or containerd to compare with, on the same runc and network."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import yaml

from criserver.api.pb import api_pb2 as pb
from criserver.cli.demo import archive
from tests.support.cluster import cgroups, processes, programs
from tests.support.cluster.layout import Node
from tests.support.server import PROJECT, Client

PAUSE = "localhost/pause:latest"

# containerd 2 reads version 3; clamping the OOM score lets it run where CAP_SYS_RESOURCE is missing.
_CONTAINERD = """\
version = 3
root = "{directory}/root"
state = "{directory}/state"
[grpc]
address = "{directory}/cri.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = {plugins}
conf_dir = "{directory}/net.d"
"""


def name(node: Node) -> str:
    """What the process is called among the cluster's."""
    return f"{node.name}-{node.cluster.runtime}"


def run(node: Node) -> None:
    """Start the server unless it runs, and wait until it answers."""
    if not processes.pid(node.cluster, name(node)):
        node.conf_dir.mkdir(parents=True, exist_ok=True)
        argv, env = _containerd(node) if node.cluster.runtime == "containerd" else _criserver(node)
        own = cgroups.make(node.server_cgroup)
        processes.start(node.cluster, name(node), argv, node=node, env=env, cgroups=own)
    processes.await_ready(node.cluster, name(node), lambda: answers(node))
    if node.cluster.runtime == "containerd":
        pause = node.directory / "pause.tar"
        archive.write(str(pause), PAUSE, {}, ("sleep", "2147483647"), archive.find_busybox())
        load(node, pause)


def answers(node: Node) -> bool:
    """Whether Version is answered."""
    try:
        with connected(node) as client:
            client("Version", pb.VersionRequest(), timeout=2)
    except grpc.RpcError:
        return False
    return True


@contextlib.contextmanager
def connected(node: Node) -> Iterator[Client]:
    """A connection to the node's server."""
    with grpc.insecure_channel(f"unix://{node.socket}") as channel:
        yield Client(channel)


def load(node: Node, path: Path) -> str:
    """Load an image archive into the node; what the loader says."""
    if node.cluster.runtime == "containerd":
        ctr = [programs.path("ctr"), "--address", str(node.socket), "--namespace", "k8s.io"]
        argv = [*ctr, "images", "import", str(path)]
    else:
        argv = [*_COMMAND, "load", "--config", f"{node.directory}/config.yaml", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=PROJECT)
    if done.returncode:
        raise processes.Failed(f"{path} cannot be loaded into {node.name}: {done.stderr.strip()}")
    return done.stdout.strip()


def empty(node: Node, seconds: float = 60) -> None:
    """Stop and remove every pod; errors are the next step's, which kills."""
    with contextlib.suppress(grpc.RpcError), connected(node) as client:
        pods = [item.id for item in client("ListPodSandbox", pb.ListPodSandboxRequest(), timeout=5).items]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda pod: _remove(client, pod, seconds), pods))


def _remove(client: Client, pod: str, seconds: float) -> None:
    with contextlib.suppress(grpc.RpcError):
        client("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod), timeout=seconds)
        client("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod), timeout=seconds)


_COMMAND = (sys.executable, "-m", "criserver")


def _criserver(node: Node) -> tuple[Sequence[str], Mapping[str, str]]:
    given = dict(node.cluster.server)
    configuration = {
        "listen": f"unix://{node.socket}",
        "root": f"{node.directory}/root",
        "state": f"{node.directory}/state",
        "metrics": {"port": 9180},
        **given,
        "network": {"conf_dir": str(node.conf_dir), "bin_dirs": programs.cni_dirs(), **given.get("network", {})},
    }
    path = node.directory / "config.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return (*_COMMAND, "serve", "--config", str(path)), {"PYTHONPATH": str(PROJECT)}


def _containerd(node: Node) -> tuple[Sequence[str], Mapping[str, str]]:
    path = node.directory / "config.toml"
    plugins = str(programs.cni_dirs()).replace("'", '"')
    path.write_text(_CONTAINERD.format(directory=node.directory, pause=PAUSE, plugins=plugins))
    program = programs.path("containerd")
    return (program, "--config", str(path)), {"PATH": f"{os.path.dirname(program)}:{os.environ['PATH']}"}
