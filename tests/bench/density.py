"""What pods cost while they do nothing: memory of the server's processes, its CPU, and how long lists take."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from criserver.api.pb import api_pb2 as cri
from tests.bench.pods import Samples, start, stop
from tests.bench.servers import Server

IDLE_SECONDS = 10
LISTS = 30


@dataclass(frozen=True)
class Density:
    """PSS in KiB (proc(5), smaps_rollup) of the empty server, and what each pod adds; CPU of the idle server in %."""

    pods: int
    empty_kib: int
    kib_per_pod: float
    idle_percent: float
    lists: Samples


def measure(server: Server, pods: int) -> Density:
    """Start that many pods, look, and take them away."""
    empty, samples, lists = _pss(server), Samples(), Samples()
    with ThreadPoolExecutor(4) as threads:
        up = list(threads.map(lambda _: start(server, samples), range(pods)))
        try:
            time.sleep(2)
            full, before = _pss(server), _cpu_seconds(server)
            time.sleep(IDLE_SECONDS)
            idle = (_cpu_seconds(server) - before) / IDLE_SECONDS * 100
            for _ in range(LISTS):
                lists.call(server, "ListContainers", cri.ListContainersRequest())
                lists.call(server, "ListPodSandbox", cri.ListPodSandboxRequest())
        finally:
            list(threads.map(lambda ids: stop(server, samples, *ids), up))
    return Density(pods, empty, (full - empty) / pods, idle, lists)


def _pss(server: Server) -> int:
    total = 0
    for pid in server.pids():
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            continue
    return total


def _cpu_seconds(server: Server) -> float:
    ticks = 0
    for pid in server.pids():
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])  # utime and stime
    return ticks / os.sysconf("SC_CLK_TCK")
