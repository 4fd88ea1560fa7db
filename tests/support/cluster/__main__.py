"""The command line of hack/cluster."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster import lifecycle, nodes, processes, programs, runtimes
from tests.support.cluster.layout import Cluster

EPILOG = "More in docs/cluster.md."


def main() -> int:
    """Run a command; errors are one line for people."""
    args = _arguments()
    try:
        return int(args.run(args) or 0)
    except processes.Failed as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("hack/cluster", description="A Kubernetes cluster of criserver.", epilog=EPILOG)
    parser.add_argument("--directory", type=Path, default=lifecycle.DIRECTORY, help="where it lives (%(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start a cluster, or what is missing of the one that is there")
    up.add_argument("--runtime", choices=("criserver", "containerd"), default="criserver")
    up.add_argument("--nodes", type=int, choices=range(1, 10), default=1, metavar="N", help="1 to 9 (%(default)s)")
    up.add_argument("--network", choices=("routes", "flannel"), default="routes", help="of pods (%(default)s)")
    up.add_argument("--kubelet-version", choices=programs.OLDER_KUBELETS, default="", help="an older kubelet")
    up.add_argument("--kubelet", type=Path, metavar="FILE", help="YAML laid over the KubeletConfiguration")
    up.add_argument("--server", type=Path, metavar="FILE", help="YAML laid over criserver's configuration")
    up.set_defaults(run=_up)
    commands.add_parser("down", help="take everything away").set_defaults(run=_down)
    commands.add_parser("status", help="what runs; 1 when something does not").set_defaults(run=_status)
    load = commands.add_parser("load", help="load image archives into every node")
    load.add_argument("file", nargs="+", type=Path)
    load.set_defaults(run=_load)
    kubectl = commands.add_parser("kubectl", help="run kubectl against it")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    kubectl.set_defaults(run=_kubectl)
    return parser.parse_args()


def _up(args: argparse.Namespace) -> None:
    began = time.monotonic()
    cluster = lifecycle.up(
        args.directory.absolute(), runtime=args.runtime, node_count=args.nodes, pod_network=args.network,
        kubelet_version=args.kubelet_version, kubelet=_yaml(args.kubelet), server=_yaml(args.server),
    )  # fmt: skip
    took = time.monotonic() - began
    print(f"{cluster.node_count} node(s) with {cluster.runtime} Ready after {took:.0f} s; for kubectl:")
    print(f"export KUBECONFIG={cluster.kubeconfig} PATH={os.path.dirname(programs.path('kubectl'))}:$PATH")


def _down(args: argparse.Namespace) -> None:
    gone = lifecycle.down(args.directory.absolute())
    print(f"the cluster in {args.directory} is gone" if gone else f"there is no cluster in {args.directory}")


def _status(args: argparse.Namespace) -> int:
    cluster = _cluster(args)
    names = sorted(path.name for path in (cluster.directory / "pids").iterdir())
    pids = {name: processes.pid(cluster, name) for name in names}
    for name, pid in pids.items():
        print(f"{name:28} {f'pid {pid}' if pid else 'ENDED'}   {processes.logfile(cluster, name)}")
    ready = [nodes.is_ready(node) for node in cluster.nodes]
    print(f"{sum(ready)} of {len(ready)} node(s) Ready, runtime {cluster.runtime}, API server {cluster.api}")
    return 0 if all(pids.values()) and all(ready) else 1


def _load(args: argparse.Namespace) -> None:
    for node in _cluster(args).nodes:
        for file in args.file:
            print(f"{node.name}: {runtimes.load(node, file.absolute())}")


def _kubectl(args: argparse.Namespace) -> None:
    program = programs.path("kubectl")
    os.execv(program, [program, f"--kubeconfig={_cluster(args).kubeconfig}", *args.arguments])


def _cluster(args: argparse.Namespace) -> Cluster:
    cluster = Cluster.load(args.directory.absolute())
    if cluster is None:
        raise processes.Failed(f"there is no cluster in {args.directory}: hack/cluster up")
    return cluster


def _yaml(path: Path | None) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) if path else {}


if __name__ == "__main__":
    sys.exit(main())
