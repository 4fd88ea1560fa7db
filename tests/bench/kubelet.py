"""A node full of pods, beside containerd: time until all are Ready and gone, CPU and memory of the server's side.

`hack/bench-cluster`. Each runtime has a cluster of its own, one after the other, with the same runc and plugins. CPU
is that of the cgroups in which the server's side runs: daemon, monitors or shims, and all that these ever started, but
not the containers.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.cluster import down, programs, runtimes, up
from tests.support.cluster.cgroups import server_cpu_seconds, server_pids
from tests.support.cluster.dirt import pods as sandboxes
from tests.support.cluster.kube import Kube
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import archives, container, workload
from tests.support.cluster.processes import logfile, wait_until

SECONDS = 900.0
LASTING_SECONDS = 15.0
"""What is younger is an exec of a probe."""


@dataclass(frozen=True)
class Probes:
    """Of 30 pods with an exec probe each second: what grew while they ran, and what of them is left when they are gone.

    On a busy machine there are fewer probes than asked for: what one costs can still be compared.
    """

    cpu_percent: float = 0
    per_second: float = 0
    cpu_ms_each: float = 0
    grew_mib: float = 0
    grew_processes: int = 0
    grew_descriptors: int = 0
    left_mib: float = 0
    left_processes: int = 0
    left_descriptors: int = 0


@dataclass(frozen=True)
class Figures:
    """Of one runtime; seconds, MiB of PSS, counts."""

    ready_seconds: float
    ready_cpu_seconds: float
    idle_cpu_percent: float
    server_mib: float
    gone_seconds: float
    gone_cpu_seconds: float
    relist_median_seconds: float
    relist_p99_seconds: float
    unhealthy: int
    probes: Probes


def main() -> None:
    """Measure what is there and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=110)
    parser.add_argument("--probed", type=int, default=30, help="pods with an exec probe each second")
    parser.add_argument("--probe-seconds", type=float, default=300)
    parser.add_argument("--runtimes", default="criserver,containerd")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # not without taking the cluster away
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as images:
        paths = archives(Path(images))
        for runtime in args.runtimes.split(","):
            if lacking := programs.missing(runtime):
                print(f"without {runtime}: {lacking}")
                continue
            with _cluster(runtime, paths) as cluster:
                found[runtime] = measure(cluster, args.pods, args.probed, args.probe_seconds)
            print(runtime, found[runtime], flush=True)
    report(found)


def measure(cluster: Cluster, pods: int, probed: int, probe_seconds: float) -> Figures:
    """Fill the node, look, empty it; then probe."""
    kube = Kube(cluster, "default")
    wait_until(lambda: kube.api("serviceaccounts")["items"], 30, "the default service account")
    before, began = server_cpu_seconds(cluster.nodes[0]), time.monotonic()
    _fill(kube, "full", container(), pods)
    ready, ready_cpu = time.monotonic() - began, server_cpu_seconds(cluster.nodes[0]) - before
    time.sleep(10)
    idle, memory = _cpu_percent(cluster, 20), _mib(server_pids(cluster.nodes[0]))
    before, began = server_cpu_seconds(cluster.nodes[0]), time.monotonic()
    _empty(kube, "full")
    gone, gone_cpu = time.monotonic() - began, server_cpu_seconds(cluster.nodes[0]) - before
    metrics = str(kube.api("/api/v1/nodes/node1/proxy/metrics"))
    relist = [_quantile(metrics, "kubelet_pleg_relist_duration_seconds", q) for q in (0.5, 0.99)]
    unhealthy = logfile(cluster, "node1-kubelet").read_text().count("PLEG is not healthy: pleg was last seen")
    probes = _probe(kube, probed, probe_seconds)
    return Figures(ready, ready_cpu, idle, memory, gone, gone_cpu, relist[0], relist[1], unhealthy, probes)


def report(found: Mapping[str, Figures]) -> None:
    """A line per figure, with the ratio where there are two."""
    names = list(found)
    print(f"{'':28}" + "".join(f"{name:>12}" for name in names) + (f"{'ratio':>12}" if len(names) == 2 else ""))
    flat = {name: _flat(asdict(figures)) for name, figures in found.items()}
    for field in flat[names[0]] if names else ():
        values = [flat[name][field] for name in names]
        ratio = f"{values[0] / values[1]:>12.2f}" if len(values) == 2 and values[1] > 0 else ""
        print(f"{field:28}" + "".join(f"{value:>12.2f}" for value in values) + ratio)


def _flat(figures: Mapping[str, Any]) -> dict[str, float]:
    probes = figures["probes"]
    own = {name: float(value) for name, value in figures.items() if name != "probes"}
    return {**own, **{f"probes_{name}": float(value) for name, value in probes.items()}}


def _probe(kube: Kube, pods: int, seconds: float) -> Probes:
    if not pods:
        return Probes()
    often = {"exec": {"command": ["true"]}, "periodSeconds": 1, "timeoutSeconds": 10}
    empty = _held(kube.cluster)
    _fill(kube, "probed", container(readinessProbe=often), pods)
    time.sleep(20)
    first, done, began = _held(kube.cluster), _probes_done(kube), time.monotonic()
    percent = _cpu_percent(kube.cluster, seconds)
    count, took = _probes_done(kube) - done, time.monotonic() - began
    last = _held(kube.cluster)
    _empty(kube, "probed")
    time.sleep(90)  # the kubelet collects what has ended once a minute
    grew, left = (_difference(first, last), _difference(empty, _held(kube.cluster)))
    return Probes(percent, count / took, percent * 10 * took / max(count, 1), *grew, *left)


def _probes_done(kube: Kube) -> float:
    text = str(kube.api("/api/v1/nodes/node1/proxy/metrics/probes"))
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("prober_probe_total{"))


def _fill(kube: Kube, name: str, main: Mapping[str, Any], pods: int) -> None:
    kube.apply(workload("Deployment", name, main, replicas=pods))
    path = f"/apis/apps/v1/namespaces/default/deployments/{name}"
    kube.until(path, lambda found: found["status"].get("readyReplicas", 0) == pods, SECONDS)


def _empty(kube: Kube, name: str) -> None:
    """Until the API has no pod and the runtime no sandbox that runs; a kubelet collects dead ones once a minute."""
    kube("delete", "deployment", name, seconds=SECONDS)
    kube.until("pods", lambda found: not found["items"], SECONDS)
    wait_until(lambda: not sandboxes(kube.cluster.nodes[0], ready=True), SECONDS, "sandboxes to be stopped")


def _cpu_percent(cluster: Cluster, seconds: float) -> float:
    before = server_cpu_seconds(cluster.nodes[0])
    time.sleep(seconds)
    return (server_cpu_seconds(cluster.nodes[0]) - before) / seconds * 100


def _mib(pids: Iterable[int]) -> float:
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def _held(cluster: Cluster) -> tuple[float, int, int]:
    """MiB, processes of the server's side and their descriptors, without those of execs, which come and go."""
    now = float(Path("/proc/uptime").read_text().split()[0])
    pids = [pid for pid in server_pids(cluster.nodes[0]) if now - _began(pid, now) > LASTING_SECONDS]
    return _mib(pids), len(pids), sum(_descriptors(pid) for pid in pids)


def _began(pid: int, now: float) -> float:
    """When a process began, in seconds since the boot; one that is gone has just begun."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return now
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _difference(before: tuple[float, int, int], after: tuple[float, int, int]) -> tuple[float, int, int]:
    return after[0] - before[0], after[1] - before[1], after[2] - before[2]


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _quantile(metrics: str, name: str, quantile: float) -> float:
    """Upper bound of the bucket that has this quantile."""
    buckets = [(float(le), float(n)) for le, n in re.findall(rf'{name}_bucket{{le="([^"]+)"}} (\S+)', metrics)]
    return next(bound for bound, count in buckets if count >= quantile * buckets[-1][1]) if buckets else float("nan")


@contextmanager
def _cluster(runtime: str, images: list[Path]) -> Iterator[Cluster]:
    directory = Path(tempfile.mkdtemp(prefix="ck.", dir="/tmp"))
    directory.chmod(0o711)
    try:
        cluster = up(directory, runtime=runtime)
        for path in images:
            runtimes.load(cluster.nodes[0], path)
        yield cluster
    finally:
        down(directory)
        if directory.exists():
            directory.rmdir()


if __name__ == "__main__":
    main()
