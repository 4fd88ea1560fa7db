"""What pods cost while they do nothing: memory of the server's processes, its CPU, and how long lists take."""

from __future__ import annotations

import contextlib
import glob
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from criserver.api.pb import api_pb2 as cri
from tests.bench.pods import Samples, start, stop
from tests.bench.servers import Server

IDLE_SECONDS = 10
#: Lines of many lengths, on both streams, then a burst of short ones.
CHATTER = """
i=0; while [ $i -lt 40 ]; do text="$text $i"; echo "line$text"; echo "$text" >&2; i=$((i+1)); done
i=0; while [ $i -lt 400 ]; do echo x; i=$((i+1)); done; exec sleep 2147483647
"""
LISTS = 30


@dataclass(frozen=True)
class Density:
    """PSS in KiB (proc(5), smaps_rollup) of the empty server, what each pod adds, and the mean of the processes that
    there are more of (monitors, shims); CPU of the idle server in %."""

    pods: int
    empty_kib: int
    kib_per_pod: float
    monitor_kib: float
    idle_percent: float
    lists: Samples


def measure(server: Server, pods: int, *, chatter: bool) -> Density:
    """Start that many pods, which log something first or nothing, look, and take them away."""
    empty, samples, lists = _pss(server), Samples(), Samples()
    command = ("sh", "-c", CHATTER) if chatter else ()
    with ThreadPoolExecutor(4) as threads:
        up = list(threads.map(lambda _: start(server, samples, command), range(pods)))
        time.sleep(3)
        full, percent = _pss(server), idle(server, IDLE_SECONDS)
        for _ in range(LISTS):
            lists.call(server, "ListContainers", cri.ListContainersRequest())
            lists.call(server, "ListPodSandbox", cri.ListPodSandboxRequest())
        list(threads.map(lambda ids: stop(server, samples, *ids), up))
    more = [kib for pid, kib in full.items() if pid not in empty]
    before_kib, after_kib = sum(empty.values()), sum(full.values())
    return Density(pods, before_kib, (after_kib - before_kib) / pods, sum(more) / len(more), percent, lists)


def _pss(server: Server) -> dict[int, int]:
    """KiB of each process."""
    found = {}
    for pid in server.pids():
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                found[pid] = sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            continue
    return found


def idle(server: Server, seconds: float) -> float:
    """The share of one CPU (percent) that the server's processes take while nobody asks for anything."""
    before = cpu_nanoseconds(server)
    time.sleep(seconds)
    return used(server, before) / seconds / 10


def used(server: Server, before: dict[str, int]) -> float:
    """Milliseconds of CPU that the server's processes took since `before`."""
    return sum(taken - before.get(task, 0) for task, taken in cpu_nanoseconds(server).items()) / 1e6


def cpu_nanoseconds(server: Server) -> dict[str, int]:
    """Of each thread (schedstat: the scheduler's own count, where ticks of 10 ms would round it away)."""
    found = {}
    for pid in server.pids():
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            with contextlib.suppress(OSError), open(path) as file:
                found[path] = int(file.read().split()[0])
    return found
