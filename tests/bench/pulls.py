"""What pulls cost, beside containerd: `hack/bench-pulls`.

One registry on loopback and the same images for both, in turn, round by round, each on an empty store: a small image,
eight layers of 8 MiB, one layer of 20,000 small files, and ten images on a common base at once. Milliseconds of
PullImage seen from outside, and the ratio of the medians. Then the memory of the daemon and of everything that it
starts, at its highest, while the large image and the ten are pulled. Nothing is asserted.
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

Times = dict[str, dict[str, list[float]]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-"))
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


def _pulled(server: Server, references: Sequence[str]) -> float:
    """Milliseconds until all are there; they are removed again."""
    images: Any = ImageServiceStub(server.channel)  # type: ignore[arg-type] # typed for asyncio's channels
    requests = [cri.PullImageRequest(image=cri.ImageSpec(image=reference)) for reference in references]
    began = time.perf_counter()
    with ThreadPoolExecutor(len(requests)) as threads:
        list(threads.map(lambda request: images.PullImage(request, timeout=TIMEOUT), requests))
    taken = (time.perf_counter() - began) * 1000
    for reference in references:
        images.RemoveImage(cri.RemoveImageRequest(image=cri.ImageSpec(image=reference)), timeout=TIMEOUT)
    return taken


def _print(times: Times) -> None:
    load = " ".join(f"{figure:.1f}" for figure in os.getloadavg())
    print(f"\nPullImage, ms (median, best); load of the machine {load}, {os.cpu_count()} processors\n")
    for name, by_server in times.items():
        medians = [statistics.median(taken) for taken in by_server.values()]
        figures = "  ".join(
            f"{server} {median:7.0f} {min(taken):7.0f}"
            for (server, taken), median in zip(by_server.items(), medians, strict=True)
        )
        best = [min(taken) for taken in by_server.values()]
        ratio = f"  ratio {medians[0] / medians[1]:.2f} (best {best[0] / best[1]:.2f})" if len(medians) > 1 else ""
        print(f"{name:20}{figures}{ratio}")


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
    parents: dict[int, int] = {}
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    family, total = {top}, 0
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    for pid in family:
        try:
            rollup = Path("/proc", str(pid), "smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


if __name__ == "__main__":
    main()
