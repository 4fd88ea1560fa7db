"""Everything that reads, asked all the time while pods come and go.

What vanishes while it is read is missing from lists and "not found" alone: it is never an error of the server's.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api import admin
from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.client.test_prometheus import scrape
from tests.support import cri
from tests.support.server import PROJECT, Client, Server
from tests.support.streams import messages

PODS, AT_ONCE, READERS = 60, 4, 4
FINE = {"OK", "NOT_FOUND"}
LOST_DIRECTORY = f'cd "$(mktemp -d)" && rmdir "$PWD" && PYTHONPATH={PROJECT} exec "$@"'


@dataclass
class Readers:
    """Threads that ask one thing after the other about pods and containers that may be gone, and count the answers."""

    server: Server
    pods: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int) -> None:
        """Ask until done; every thread begins elsewhere."""
        with self.server.client() as client, grpc.insecure_channel(self.server.socket) as channel:
            for turn in itertools.count(number):
                questions = [*self._questions(client), *self._streams(), *self._of_operators(channel, turn)]
                for name, ask in questions[turn % 3 :: 3]:
                    self._ask(name, ask)
                if self.done.is_set():
                    return

    def _ask(self, name: str, ask: Callable[[], object]) -> None:
        try:
            ask()
            code, words = "OK", ""
        except grpc.RpcError as error:
            code, words = error.code().name, f": {error.details()}"
        self.answers[name, code if code in FINE else code + words] += 1

    def _questions(self, client: Client) -> Iterator[tuple[str, Callable[[], object]]]:
        pod, container = self.pods[-1], self.containers[-1]
        requests: list[Any] = [
            pb.ContainerStatsRequest(container_id=container),
            pb.ListContainerStatsRequest(),
            pb.PodSandboxStatsRequest(pod_sandbox_id=pod),
            pb.ListPodSandboxStatsRequest(),
            pb.ListMetricDescriptorsRequest(),
            pb.ListPodSandboxMetricsRequest(),
            pb.ContainerStatusRequest(container_id=container, verbose=True),
            pb.PodSandboxStatusRequest(pod_sandbox_id=pod, verbose=True),
            pb.ListContainersRequest(),
            pb.ListPodSandboxRequest(),
            pb.ListImagesRequest(),
            pb.ImageStatusRequest(image=pb.ImageSpec(image=cri.BUSYBOX), verbose=True),
            pb.ImageFsInfoRequest(),
            pb.StatusRequest(verbose=True),
            pb.RuntimeConfigRequest(),
        ]
        for request in requests:
            name = type(request).__name__.removesuffix("Request")
            yield name, lambda name=name, request=request: client(name, request)  # type: ignore[misc]

    def _streams(self) -> Iterator[tuple[str, Callable[[], object]]]:
        for name in ("StreamPodSandboxes", "StreamContainers", "StreamImages", "StreamContainerStats",
                     "StreamPodSandboxStats", "StreamPodSandboxMetrics"):  # fmt: skip
            request = getattr(pb, f"{name}Request")()
            yield name, lambda name=name, request=request: messages(self.server.socket, name, request)  # type: ignore[misc]

    def _of_operators(self, channel: grpc.Channel, turn: int) -> Iterator[tuple[str, Callable[[], object]]]:
        for name, given in (("Running", {}), ("Trace", {"pod": self.pods[-1]})):
            yield name, lambda name=name, given=given: admin.call(channel, name, given)  # type: ignore[misc]
        yield "scrape", lambda: scrape(self.server)
        if turn % 10 == 0:  # it takes a second when something is under way
            yield "Check", lambda: admin.call(channel, "Check", {"repair": False})


def live(client: Client, name: str, logs: Path, readers: Readers) -> None:
    """The life of a pod, told to the readers, with a container that writes, and one that ends at once."""
    config = cri.pod_config(name, logs)
    pod = cri.run(client, config)
    readers.pods.append(pod)
    container = ""
    for what in ("for i in 1 2 3 4 5 6 7 8; do mkdir -p /d$i/e; rm -r /d$i; done; exec sleep 1000", "exit 3"):
        container = cri.create(client, pod, cri.container_config(f"c{len(what)}", "sh", "-c", what), config)
        readers.containers.append(container)
        cri.start(client, container)
    client("RemoveContainer", pb.RemoveContainerRequest(container_id=container))
    cri.remove_pod(client, pod)


@pytest.fixture(scope="module", params=["/", "gone"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    """A server that measures anew for everybody; the second one's working directory has been removed."""
    config = {"image": pulling, "stats": {"collection_period": 0.01}, "metrics": {"port": 0}}
    wrapper = ("sh", "-c", LOST_DIRECTORY, "sh") if request.param == "gone" else ()
    with serving(tmp_path_factory.mktemp("vanishing"), config, wrapper=wrapper) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_vanishes_while_it_is_read_is_no_error(server: Server, logs: Path) -> None:
    readers = Readers(server, ["none"], ["none"])
    with server.client() as client, ThreadPoolExecutor(AT_ONCE + READERS) as threads:
        cri.pull(client)
        reading = [threads.submit(readers.run, number) for number in range(READERS)]
        try:
            list(threads.map(lambda number: live(client, f"gone-{number}", logs, readers), range(PODS)))
        finally:
            readers.done.set()
        for each in reading:
            each.result()
    assert {key: count for key, count in readers.answers.items() if key[1] not in FINE} == {}
    assert readers.answers["ListPodSandboxMetrics", "OK"] > 10
    assert readers.answers["PodSandboxStats", "OK"] > 0
    assert readers.answers["ContainerStatus", "OK"] > 0
    errors = [line for line in server.log.read_text().splitlines() if " ERROR " in line or "Traceback" in line]
    assert errors == []
