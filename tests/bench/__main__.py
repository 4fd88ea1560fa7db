"""`make bench`: this server beside containerd, in turn, in one run; medians, 95th percentiles and ratios.

Servers take turns round by round, so that what else the machine does hits both. Ratios are criserver's median to
containerd's: below 1 is faster. Nothing is asserted: figures of one machine in one hour are no test.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.bench import density
from tests.bench.pods import Samples, churn, live
from tests.bench.servers import Server, containerd, containerd_server, criserver


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pods", type=int, default=15, help="pods per round and server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 8], help="pods at a time")
    parser.add_argument("--density", type=int, default=30, help="idle pods for memory and CPU; 0: none")
    parser.add_argument("--alone", action="store_true", help="without containerd")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        servers = _servers(stack, base, alone=options.alone)
        for server in servers:
            live(server, Samples())  # warms caches; not counted
        for at_once in options.at_once:
            _churn(servers, options.rounds, options.pods, at_once)
        if options.density:
            for server in servers:
                _density(server, options.density)


def _servers(stack: ExitStack, base: Path, *, alone: bool) -> list[Server]:
    (base / "a").mkdir()
    (base / "b").mkdir()
    servers = [stack.enter_context(criserver(base / "a"))]
    if not alone and (program := containerd()):
        servers.append(stack.enter_context(containerd_server(base / "b", program)))
    elif not alone:
        print("containerd 2 is missing (hack/tools containerd builds it): criserver is measured alone")
    return servers


def _churn(servers: list[Server], rounds: int, pods: int, at_once: int) -> None:
    samples = {server.name: Samples() for server in servers}
    seconds: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            seconds[server.name].append(churn(server, samples[server.name], pods, at_once))
    print(f"\n{at_once} at a time, {rounds} rounds of {pods} pods (ms: median, 95th percentile)\n")
    print(f"{'':18}" + "".join(f"{server.name:>22}" for server in servers) + f"{'ratio':>8}")
    for name in samples[servers[0].name].taken:
        rows = [samples[server.name].taken[name] for server in servers]
        cells = "".join(f"{statistics.median(row):>12.1f}{_percentile(row):>10.1f}" for row in rows)
        print(f"{name:18}{cells}{_ratio([statistics.median(row) for row in rows])}")
    rates = [pods / statistics.median(seconds[server.name]) for server in servers]
    print(f"{'pod lives per s':18}" + "".join(f"{rate:>12.2f}{'':10}" for rate in rates) + _ratio(rates))


def _density(server: Server, pods: int) -> None:
    for chatter in (False, True):
        found = density.measure(server, pods, chatter=chatter)
        lists = ", ".join(f"{name} {statistics.median(taken):.1f} ms" for name, taken in found.lists.taken.items())
        memory = f"PSS empty {found.empty_kib / 1024:.1f} MiB, {found.kib_per_pod:.0f} KiB more per pod"
        memory += f", {found.monitor_kib:.0f} KiB per monitor or shim"
        kind = "pods that have logged" if chatter else "silent pods"
        print(f"\n{server.name} with {pods} {kind}: {memory}; CPU {found.idle_percent:.2f} %; {lists}")


def _percentile(values: list[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.95) - 1)]


def _ratio(values: list[float]) -> str:
    return f"{values[0] / values[1]:>8.2f}" if len(values) > 1 else ""


main()
