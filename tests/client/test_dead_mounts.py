"""A host path on a mount that never answers: its container is refused, and nobody else notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.server import Client, Server
from tests.support.silent_mount import silent_mount


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    with serving(base, {"image": pulling}) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "dead"
    target.mkdir()
    with silent_mount(target):
        yield target


def test_only_its_own_container_waits_and_the_server_can_go(
    server: Server, client: Client, logs: Path, dead: Path
) -> None:
    pod = pod_config("dead-mount", logs)
    pod_id = cri.run(client, pod)
    refusals: list[grpc.RpcError] = []

    def create(number: int) -> None:
        wish = container_config(f"dead{number}", "sleep", "1000")
        wish.mounts.append(pb.Mount(host_path=f"{dead}/volume", container_path="/volume"))
        try:
            cri.create(client, pod_id, wish, pod)
        except grpc.RpcError as error:
            refusals.append(error)

    waiting = [threading.Thread(target=create, args=(number,)) for number in range(20)]
    for thread in waiting:
        thread.start()
    time.sleep(0.5)
    wish = container_config("alive", "sleep", "1000")
    wish.mounts.append(pb.Mount(host_path=f"{dead.parent}/made", container_path="/volume"))
    begun = time.monotonic()
    cri.start(client, cri.create(client, pod_id, wish, pod))
    assert time.monotonic() - begun < 5 and not refusals, "while the others still wait"
    for thread in waiting:
        thread.join(40)
    assert [error.code() for error in refusals] == [grpc.StatusCode.DEADLINE_EXCEEDED] * 20
    assert f"host path '{dead}/volume' on {dead} did not answer for 10 s" in str(refusals[0])
    assert [found.metadata.name for found in cri.containers(client)] == ["alive"]
    # What still hangs in the kernel holds neither the server nor the next one.
    begun = time.monotonic()
    server.stop()
    server.start()
    assert time.monotonic() - begun < 15
    with server.client() as again:
        cri.remove_pod(again, pod_id)
