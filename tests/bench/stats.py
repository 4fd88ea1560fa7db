"""What stats cost, beside containerd: `python -m tests.bench.stats`.

Each list is asked for with pauses longer than the collection period, so that every answer is measured anew, and then
in a row, when both servers may answer from what they have. Then the CPU that pods take of which nobody asks anything,
and ListContainers with many containers, most of them dead. Medians of calls from outside, with the goals beside them,
and of the CPU that all processes of a server take for a call, which tells more on a busy machine; nothing is asserted.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc

from criserver.api.pb import api_pb2 as cri
from tests.bench import density
from tests.bench.pods import TIMEOUT, Samples, start, stop
from tests.bench.servers import IMAGE, Server, containerd, containerd_server, criserver

PAUSE = 1.2  # seconds, above the default collection period
IDLE_SECONDS = 20
CGROUP = "/criserver-bench-{}"  # containerd tells stats of pods with a cgroup of the caller's alone
CPU = " CPU"
GOALS = {"ListContainerStats": "0.30", "ListPodSandboxStats": "0.30"}
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
    parser.add_argument("--containers", type=int, default=500, help="for ListContainers; 0: not measured")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        (base / "a").mkdir()
        (base / "b").mkdir()
        servers = [stack.enter_context(criserver(base / "a"))]
        if program := containerd():
            servers.append(stack.enter_context(containerd_server(base / "b", program)))
        with ThreadPoolExecutor(4) as threads:
            pods = {}
            for server in servers:
                stack.callback(_no_cgroups, CGROUP.format(server.name))
                pods[server.name] = _pods(server, threads, options.pods, stack)
            time.sleep(2)
            _compare(servers, options.pods, options.samples)
            _idle(servers, options.pods)
            if options.containers:
                _lists(servers, threads, pods, options.containers)


def _pods(server: Server, threads: ThreadPoolExecutor, count: int, stack: ExitStack) -> list[str]:
    """That many pods with a container each, until the stack ends; ids of the sandboxes."""
    parent = CGROUP.format(server.name)
    up = list(threads.map(lambda _: start(server, Samples(), cgroup_parent=parent), range(count)))
    for ids in up:
        stack.callback(stop, server, Samples(), *ids)
    return [sandbox for sandbox, _ in up]


def _idle(servers: list[Server], pods: int) -> None:
    print(f"\n{pods} pods, nobody asks (percent of one CPU, goal 0.20)\n")
    for server in servers:
        print(f"{server.name:22}{density.idle(server, IDLE_SECONDS):>8.2f}")


def _lists(servers: list[Server], threads: ThreadPoolExecutor, pods: dict[str, list[str]], count: int) -> None:
    """ListContainers with `count` containers, the further ones dead."""
    print(f"\n{count} containers (ms, median; goal 10)\n")
    for server in servers:
        sandboxes = pods[server.name]
        made = [(sandboxes[number % len(sandboxes)], number) for number in range(count - len(sandboxes))]
        list(threads.map(lambda each, on=server: _dead(on, *each), made))
        samples, request = Samples(), cri.ListContainersRequest()
        lengths = {len(samples.call(server, "ListContainers", request).containers) for _ in range(30)}
        assert lengths == {count}
        print(f"{'ListContainers':22}{server.name:12}{statistics.median(samples.taken['ListContainers']):>8.2f}")


def _dead(server: Server, sandbox: str, number: int) -> None:
    pod = server.stub.PodSandboxStatus(cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox)).status
    config = cri.PodSandboxConfig(metadata=pod.metadata, log_directory=str(server.base / "logs"))
    container = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=f"dead-{number}"), image=cri.ImageSpec(image=IMAGE), command=["true"]
    )
    container.linux.security_context.namespace_options.pid = cri.NamespaceMode.CONTAINER
    request = cri.CreateContainerRequest(pod_sandbox_id=sandbox, config=container, sandbox_config=config)
    made = server.stub.CreateContainer(request, timeout=TIMEOUT).container_id
    server.stub.StartContainer(cri.StartContainerRequest(container_id=made), timeout=TIMEOUT)


def _no_cgroups(parent: str) -> None:
    """Remove the cgroups that servers leave to the kubelet that named them."""
    for top in glob.glob(f"/sys/fs/cgroup/**{parent}", recursive=True):
        for directory, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                os.rmdir(directory)


def _compare(servers: list[Server], pods: int, count: int) -> None:
    anew, again = [Samples() for _ in servers], [Samples() for _ in servers]
    for _ in range(count):
        for name, request in REQUESTS.items():
            time.sleep(PAUSE)
            for server, samples in zip(servers, anew, strict=True):
                _call(samples, server, name, request)
            for server, samples in zip(servers, again, strict=True):
                _call(samples, server, name, request)
    print(
        f"\n{pods} pods (ms, median)\n\n{'':38}" + "".join(f"{server.name:>14}" for server in servers) + "   ratio"
    )
    for title, found in (("measured anew", anew), ("again at once", again)):
        for name in [each for request in REQUESTS for each in (request, request + CPU)]:
            medians = [statistics.median(samples.taken[name]) for samples in found if samples.taken[name]]
            ratio = f"{medians[0] / medians[1]:>8.2f}" if len(medians) > 1 else ""
            goal = f"  (goal {GOALS[name]})" if ratio and name in GOALS else ""
            print(f"{name:26}{title:12}" + "".join(f"{each:>14.2f}" for each in medians) + ratio + goal)


def _call(samples: Samples, server: Server, name: str, request: Any) -> None:
    before = density.cpu_nanoseconds(server)
    try:
        samples.call(server, name, request)
        samples.taken[name + CPU].append(density.used(server, before))
    except grpc.RpcError as error:
        # containerd 2.4.2 breaks off what asks for a pod's metrics on cgroup v1.
        if server.name == "criserver":
            raise
        print(f"{server.name} fails at {name}: {error.code()}")


if __name__ == "__main__":
    main()
