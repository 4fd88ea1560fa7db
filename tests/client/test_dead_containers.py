"""Five thousand dead containers, as a node has them whose garbage collection has stopped: streams have no limit, and
the lists that have one say so in the log before they meet it."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.model.container import Container
from criserver.state.codec import decode, encode
from tests.client.conftest import serving
from tests.support import cri
from tests.support.server import Server
from tests.support.streams import messages

COUNT = 5000
LIMIT = 16 << 20
HALF_HEAVY, HEAVY = 2000, 4000
"""Characters of an annotation of each: with the first the whole list is over half of the limit, then over all of it."""


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    with serving(base, {"image": pulling}) as running:
        yield running


def plant(server: Server, weight: int) -> None:
    """Make rows of dead containers after the one that there is; the server is stopped meanwhile."""
    server.stop()
    with closing(sqlite3.connect(server.root / "criserver.db")) as database, database:
        (record, sandbox, image) = database.execute(
            "SELECT record, sandbox_id, image_id FROM containers ORDER BY id LIMIT 1"
        ).fetchone()
        real = decode(Container, record)
        database.execute("DELETE FROM containers WHERE id LIKE 'dead%'")
        for number in range(COUNT):
            config = dataclasses.replace(
                real.config,
                metadata=dataclasses.replace(real.config.metadata, attempt=number + 1),
                annotations={"heavy": "x" * weight},
            )
            row = dataclasses.replace(real, id=f"dead{number:060}", config=config)
            database.execute(
                "INSERT INTO containers (id, sandbox_id, name, attempt, image_id, state, record)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row.id, sandbox, config.metadata.name, number + 1, image, row.state, encode(row)),
            )
    server.start()


@pytest.fixture
def pod(server: Server, logs: Path) -> Iterator[str]:
    """A pod with a container that has ended; what a test plants beside it goes with its rows."""
    with server.client() as client:
        cri.pull(client)
        config = cri.pod_config("dead", logs)
        made = cri.run(client, config)
        container = cri.create(client, made, cri.container_config("main", "true"), config)
        cri.start(client, container)
        ended = pb.ContainerState.CONTAINER_EXITED
        server.wait_until(lambda: cri.status(client, container).state == ended, 30, "the container to end")
    yield made
    server.stop()
    with closing(sqlite3.connect(server.root / "criserver.db")) as database, database:
        database.execute("DELETE FROM containers WHERE id LIKE 'dead%'")
    server.start()
    with server.client() as client:
        cri.remove_pod(client, made)


def sizes(server: Server, method: str, request: object, field: str) -> tuple[list[int], int]:
    """Bytes of each message of a stream, and how many items all of them have."""
    streamed = messages(server.socket, method, request)
    return [message.ByteSize() for message in streamed], sum(len(getattr(message, field)) for message in streamed)


def test_streams_have_no_limit_and_lists_warn_at_half_of_it(server: Server, pod: str) -> None:
    plant(server, HALF_HEAVY)
    with server.client() as client:
        listed = client("ListContainers", pb.ListContainersRequest())
        assert len(listed.containers) == COUNT + 1
        assert LIMIT / 2 < listed.ByteSize() < LIMIT
        assert "of the 16 MiB that clients take: remove dead containers, or ask with StreamContainers" in server.tail()
        assert not list(client("ListContainerStats", pb.ListContainerStatsRequest()).stats)

    plant(server, HEAVY)
    bytes_, count = sizes(server, "StreamContainers", pb.StreamContainersRequest(), "containers")
    assert count == COUNT + 1
    assert sum(bytes_) > LIMIT
    assert max(bytes_) < 2 << 20
    assert sizes(server, "StreamContainerStats", pb.StreamContainerStatsRequest(), "container_stats") == ([], 0)
    _, pods = sizes(server, "StreamPodSandboxes", pb.StreamPodSandboxesRequest(), "pod_sandboxes")
    _, stats = sizes(server, "StreamPodSandboxStats", pb.StreamPodSandboxStatsRequest(), "pod_sandbox_stats")
    _, metrics = sizes(server, "StreamPodSandboxMetrics", pb.StreamPodSandboxMetricsRequest(), "pod_sandbox_metrics")
    _, images = sizes(server, "StreamImages", pb.StreamImagesRequest(), "images")
    assert (pods, stats, metrics, images) == (1, 1, 1, 1)
    with server.client() as client, pytest.raises(grpc.RpcError) as caught:
        client("ListContainers", pb.ListContainersRequest())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
