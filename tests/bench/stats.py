"""What stats cost, beside containerd: `python -m tests.bench.stats`.

Each list is asked for with pauses longer than the collection period, so that every answer is measured anew, and then
in a row, when both servers may answer from what they have. Medians of calls from outside; nothing is asserted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc

from criserver.api.pb import api_pb2 as cri
from tests.bench.pods import Samples, start, stop
from tests.bench.servers import Server, containerd, containerd_server, criserver

PAUSE = 1.2  # seconds, above the default collection period
REQUESTS: dict[str, Any] = {
    "ListContainerStats": cri.ListContainerStatsRequest(),
    "ListPodSandboxStats": cri.ListPodSandboxStatsRequest(),
    "ListPodSandboxMetrics": cri.ListPodSandboxMetricsRequest(),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pods", type=int, default=30)
    parser.add_argument("--samples", type=int, default=15, help="answers of each kind")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        (base / "a").mkdir()
        (base / "b").mkdir()
        servers = [stack.enter_context(criserver(base / "a"))]
        if program := containerd():
            servers.append(stack.enter_context(containerd_server(base / "b", program)))
        _compare(servers, options.pods, options.samples)


def _compare(servers: list[Server], pods: int, count: int) -> None:
    with ThreadPoolExecutor(4) as threads, ExitStack() as stack:
        for server in servers:
            up = list(threads.map(lambda _, on=server: start(on, Samples()), range(pods)))
            stack.callback(_stop_all, threads, server, up)
        time.sleep(2)
        anew, again = [Samples() for _ in servers], [Samples() for _ in servers]
        for _ in range(count):
            for name, request in REQUESTS.items():
                time.sleep(PAUSE)
                for server, samples in zip(servers, anew, strict=True):
                    _call(samples, server, name, request)
                for server, samples in zip(servers, again, strict=True):
                    _call(samples, server, name, request)
        print(
            f"\n{pods} pods (ms, median)\n\n{'':34}" + "".join(f"{server.name:>14}" for server in servers) + "   ratio"
        )
        for title, found in (("measured anew", anew), ("again at once", again)):
            for name in REQUESTS:
                medians = [statistics.median(samples.taken[name]) for samples in found if samples.taken[name]]
                ratio = f"{medians[0] / medians[1]:>8.2f}" if len(medians) > 1 else ""
                print(f"{name:22}{title:12}" + "".join(f"{each:>14.2f}" for each in medians) + ratio)


def _call(samples: Samples, server: Server, name: str, request: Any) -> None:
    try:
        samples.call(server, name, request)
    except grpc.RpcError as error:
        # containerd 2.4.2 breaks off what asks for a pod's metrics on cgroup v1.
        if server.name == "criserver":
            raise
        print(f"{server.name} fails at {name}: {error.code()}")


def _stop_all(threads: ThreadPoolExecutor, server: Server, up: list[tuple[str, str]]) -> None:
    list(threads.map(lambda ids: stop(server, Samples(), *ids), up))


if __name__ == "__main__":
    main()
