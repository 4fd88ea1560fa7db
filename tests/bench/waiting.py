"""What a thousand StopContainer calls in their grace period cost everybody else: `hack/bench-waiting`.

The latency of Version and ListContainers at rest and while the calls wait, in one run, and the second as a multiple of
the first. Nothing is asserted here: that the calls end as they must is tested in tests/client/test_many.py.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from criserver.api.pb import api_pb2 as cri
from tests.bench.pods import Samples, start, stop
from tests.bench.servers import Server, criserver

GRACE = 300
PAUSE = 0.002
"""Seconds between two samples: what is measured is how long one call takes, not how many there can be."""

Requests = dict[str, Any]
REQUESTS: Requests = {"Version": cri.VersionRequest(), "ListContainers": cri.ListContainersRequest()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=1000, help="waiting calls")
    parser.add_argument("--containers", type=int, default=50, help="containers that they wait for")
    parser.add_argument("--samples", type=int, default=1000, help="calls measured, of each kind")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with criserver(base) as server, ThreadPoolExecutor(4) as threads:
            ids = list(threads.map(lambda _: start(server, Samples()), range(options.containers)))
            try:
                _compare(server, [container for _, container in ids], options.calls, options.samples)
            finally:
                list(threads.map(lambda pair: stop(server, Samples(), *pair), ids))
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _compare(server: Server, containers: list[str], calls: int, count: int) -> None:
    rest = _sample(server, count)
    waiting = [_waiting(server, containers[number % len(containers)]) for number in range(calls)]
    time.sleep(1)
    busy = _sample(server, count)
    still = sum(not call.done() for call in waiting)
    for container in containers:
        server.stub.StopContainer(cri.StopContainerRequest(container_id=container, timeout=0), timeout=GRACE)
    for call in waiting:
        call.result()
    print(f"{still} calls wait for {len(containers)} containers (ms: median, 99th percentile, worst)\n")
    print(f"{'':16}{'at rest':>27}{'while they wait':>27}{'more':>9}{'ratio':>8}")
    for name in REQUESTS:
        one, other = rest.taken[name], busy.taken[name]
        difference = statistics.median(other) - statistics.median(one)
        ratio = statistics.median(other) / statistics.median(one)
        print(f"{name:16}{_row(one)}{_row(other)}{difference:>9.2f}{ratio:>8.2f}")


def _sample(server: Server, count: int) -> Samples:
    samples = Samples()
    for _ in range(count):
        for name, request in REQUESTS.items():
            samples.call(server, name, request)
            time.sleep(PAUSE)
    return samples


def _waiting(server: Server, container: str) -> Any:
    """A StopContainer under way."""
    request = cri.StopContainerRequest(container_id=container, timeout=GRACE)
    return server.stub.StopContainer.future(request, timeout=GRACE)


def _row(values: list[float]) -> str:
    ordered = sorted(values)
    cells = (statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])
    return "".join(f"{cell:>9.2f}" for cell in cells)


if __name__ == "__main__":
    main()
