"""What pulls cost, beside containerd: `hack/bench-pulls`.

One registry on loopback and the same images for both, in turn, round by round, each on an empty store: a small image,
eight layers of 8 MiB, one layer of 20,000 small files, and ten images on a common base at once. Milliseconds of
PullImage seen from outside, and of processor time in the daemon and everything that it starts, which other work on the
machine does not change; and the ratios of the medians. Then their memory at its highest, while the large image and the
ten are pulled. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from criserver.api.pb import api_pb2 as cri
from criserver.api.pb.api_pb2_grpc import ImageServiceStub
from tests.bench.servers import Server, containerd, containerd_server, criserver
from tests.support.images import busybox_tree, file, image
from tests.support.registry import Registry

TIMEOUT = 300
COMMON = 10
"""Images on one base."""

Times = dict[str, dict[str, list[tuple[float, float]]]]
"""By case and server: milliseconds of time, and of processor time, of each pull."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", default=None, help="where everything lies; on /dev/shm the disk is left out of it")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-", dir=options.dir))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        registry = stack.enter_context(Registry(base / "registry"))
        cases = _push(registry)
        servers = _servers(stack, base, registry)
        times: Times = {name: {server.name: [] for server in servers} for name in cases}
        for round_number in range(options.rounds + 1):
            for name, references in cases.items():
                for server in servers:
                    taken = _pulled(server, references)
                    if round_number:  # The first warms caches.
                        times[name][server.name].append(taken)
        _print(times)
        for name in ("8 layers of 8 MiB", f"{COMMON} on a base"):
            for server in servers:
                _memory(server, name, cases[name])


def _push(registry: Registry) -> Mapping[str, Sequence[str]]:
    """The images in the registry: what each case pulls."""
    libraries = {f"lib/{n % 50}/{n}": file(f"{n}" * 200) for n in range(5000)}
    base = [busybox_tree(), {"base": file(os.urandom(8 << 20))}, libraries]
    documents = {
        "small": image(busybox_tree()),
        "large": image(*({f"data-{n}": file(os.urandom(8 << 20))} for n in range(8))),
        "files": image({f"usr/share/{n % 200}/{n}": file(f"{n}" * 100) for n in range(20_000)}),
    }
    documents |= {f"app-{n}": image(*base, {f"app/{n}": file(os.urandom(100_000))}) for n in range(COMMON)}
    for name, document in documents.items():
        registry.push(name, document, "1")
    prefix = registry.address
    return {
        "small": [f"{prefix}/small:1"],
        "8 layers of 8 MiB": [f"{prefix}/large:1"],
        "20,000 files": [f"{prefix}/files:1"],
        f"{COMMON} on a base": [f"{prefix}/app-{n}:1" for n in range(COMMON)],
    }


def _servers(stack: ExitStack, base: Path, registry: Registry) -> list[Server]:
    (base / "a").mkdir()
    (base / "b").mkdir()
    conf = registry.registries_conf(base / "registries.conf", [])
    servers = [stack.enter_context(criserver(base / "a", image={"registries_conf": str(conf)}))]
    if program := containerd():
        servers.append(stack.enter_context(containerd_server(base / "b", program)))
    else:
        print("containerd 2 is missing (hack/tools containerd builds it): criserver is measured alone")
    return servers


def _pulled(server: Server, references: Sequence[str]) -> tuple[float, float]:
    """Milliseconds until all are there, and milliseconds of processor time; they are removed again."""
    images: Any = ImageServiceStub(server.channel)  # type: ignore[arg-type] # typed for asyncio's channels
    requests = [cri.PullImageRequest(image=cri.ImageSpec(image=reference)) for reference in references]
    processor, began = _processor(server.process.pid), time.perf_counter()
    with ThreadPoolExecutor(len(requests)) as threads:
        list(threads.map(lambda request: images.PullImage(request, timeout=TIMEOUT), requests))
    taken = (time.perf_counter() - began) * 1000
    worked = _processor(server.process.pid) - processor
    for reference in references:
        images.RemoveImage(cri.RemoveImageRequest(image=cri.ImageSpec(image=reference)), timeout=TIMEOUT)
    return taken, worked


def _print(times: Times) -> None:
    load = " ".join(f"{figure:.1f}" for figure in os.getloadavg())
    print(f"\nLoad of the machine {load}, {os.cpu_count()} processors; ms (median, best), and of processor time\n")
    for name, by_server in times.items():
        figures = []
        for server, samples in by_server.items():
            taken, worked = zip(*samples, strict=True)
            median = statistics.median(taken)
            figures.append(f"{server} {median:7.0f} {min(taken):7.0f} {statistics.median(worked):7.0f}")
        print(f"{name:20}{'  '.join(figures)}{_ratios(list(by_server.values()))}")


def _ratios(samples: Sequence[Sequence[tuple[float, float]]]) -> str:
    if len(samples) < 2:
        return ""
    (ours, our_work), (theirs, their_work) = (tuple(zip(*each, strict=True)) for each in samples)
    ratios = (
        statistics.median(ours) / statistics.median(theirs),
        min(ours) / min(theirs),
        statistics.median(our_work) / statistics.median(their_work),
    )
    return "  ratios {:.2f} {:.2f} {:.2f}".format(*ratios)


def _memory(server: Server, name: str, references: Sequence[str]) -> None:
    at_rest = _pss(server.process.pid)
    with _watching(server.process.pid) as highest:
        _pulled(server, references)
    print(f"memory, {server.name}, {name}: {at_rest / 1024:.0f} MiB at rest, {highest[0] / 1024:.0f} MiB at most")


@contextmanager
def _watching(pid: int) -> Iterator[list[int]]:
    """The highest proportional set size (KiB) of the process with all below it, looked at every 20 ms."""
    highest, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            highest[0] = max(highest[0], _pss(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield highest
    finally:
        ended.set()
        thread.join()


def _pss(top: int) -> int:
    """KiB of a process and its descendants."""
    total = 0
    for pid in _family(top):
        try:
            rollup = Path("/proc", str(pid), "smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


def _processor(top: int) -> float:
    """Milliseconds of processor time of a process and its descendants, those that have ended included (proc(5))."""
    ticks = sum(sum(map(int, fields[11:15])) for fields in _family(top).values())
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _family(top: int) -> dict[int, list[str]]:
    """A process and its descendants, with the fields of their stat from the state on."""
    found: dict[int, list[str]] = {}
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            found[int(entry)] = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
    family = {top}
    while more := {pid for pid, fields in found.items() if int(fields[1]) in family} - family:
        family |= more
    return {pid: found[pid] for pid in family if pid in found}


if __name__ == "__main__":
    main()
