"""A thousand calls that wait for containers to stop: they hold up nobody, send one signal, and end together.

How little they slow other calls down is measured by hack/bench-waiting-calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.server import Client, Server

CONTAINERS, CALLS = 25, 40
GRACE = 120
STUBBORN = ("sh", "-c", "trap 'echo asked' TERM; echo ready; while :; do sleep 1000 & wait $!; done")


@pytest.fixture(scope="module")
def stubborn(server: Server, base: Path) -> Iterator[list[str]]:
    """Containers that only say that they were asked to stop."""
    logs = base / "stubborn"
    logs.mkdir()
    pod = pod_config("many", logs)
    with server.client() as client, ThreadPoolExecutor(4) as threads:
        cri.pull(client)
        pod_id = cri.run(client, pod)

        def make(number: int) -> str:
            container_id = cri.create(client, pod_id, container_config(f"c{number}", *STUBBORN), pod)
            cri.start(client, container_id)
            return container_id

        yield list(threads.map(make, range(CONTAINERS)))


def log_of(client: Client, container_id: str) -> list[str]:
    text = Path(cri.status(client, container_id).log_path).read_text()
    return [line.split()[-1] for line in text.splitlines()]


def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens by itself within seconds."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stop(channel: grpc.Channel, container_id: str, seconds: int) -> Any:
    """A StopContainer under way."""
    call: Any = channel.unary_unary(
        "/runtime.v1.RuntimeService/StopContainer",
        request_serializer=pb.StopContainerRequest.SerializeToString,
        response_deserializer=pb.StopContainerResponse.FromString,
    )
    return call.future(pb.StopContainerRequest(container_id=container_id, timeout=seconds), timeout=GRACE)


def test_a_thousand_waiting_stops(server: Server, client: Client, stubborn: list[str]) -> None:
    until(lambda: all(log_of(client, container_id) == ["ready"] for container_id in stubborn))
    with grpc.insecure_channel(server.socket) as channel:
        waiting = [stop(channel, container_id, GRACE) for _ in range(CALLS) for container_id in stubborn]
        until(lambda: all("asked" in log_of(client, container_id) for container_id in stubborn))
        client("Version", pb.VersionRequest(), timeout=5)
        running = {found.id for found in cri.containers(client) if found.state == pb.ContainerState.CONTAINER_RUNNING}
        assert running == set(stubborn)
        assert client(
            "ExecSync", pb.ExecSyncRequest(container_id=stubborn[0], cmd=["echo", "still here"], timeout=20)
        ).stdout == b"still here\n", "exec goes on during grace"
        assert not any(call.done() for call in waiting)

        impatient = [stop(channel, container_id, 0) for container_id in stubborn]
        for call in (*impatient, *waiting):
            call.result(30)
    for container_id in stubborn:
        status = cri.status(client, container_id)
        assert (status.state, status.exit_code) == (pb.ContainerState.CONTAINER_EXITED, 137)
        assert log_of(client, container_id) == ["ready", "asked"], "one stop signal, however many ask"
