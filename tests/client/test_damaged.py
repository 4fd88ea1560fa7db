"""Rows that no longer decode: the server starts all the same, and gives back what only they could name."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import assert_clean, serving
from tests.support import cri
from tests.support.server import Server


@pytest.fixture
def server(tmp_path: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    with serving(tmp_path, {"image": pulling}) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


def running_pod(server: Server, name: str) -> tuple[str, str]:
    """A pod with a PID namespace of its own, and a container in it that ends on nothing less than SIGKILL."""
    pod = cri.pod_config(name)
    pod.linux.security_context.namespace_options.pid = pb.NamespaceMode.POD
    wish = cri.container_config("main", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    wish.linux.security_context.namespace_options.pid = pb.NamespaceMode.POD
    with server.client() as client:
        pod_id = cri.run(client, pod)
        container_id = cri.create(client, pod_id, wish, pod)
        cri.start(client, container_id)
    return pod_id, container_id


def damage(server: Server, table: str, record_id: str) -> None:
    with contextlib.closing(sqlite3.connect(server.root / "criserver.db")) as connection:
        assert connection.execute(f"UPDATE {table} SET record = x'7b' WHERE id = ?", (record_id,)).rowcount == 1
        connection.commit()


def test_a_pod_that_cannot_be_read_goes_with_all_that_it_had(server: Server) -> None:
    pod_id, container_id = running_pod(server, "broken")
    server.kill9()
    damage(server, "sandboxes", pod_id)
    server.start()
    assert_clean(server)
    assert f"container {container_id} is set aside: its pod sandbox {pod_id} is damaged" in server.tail()
    running_pod(server, "broken")


def test_a_container_that_cannot_be_read_leaves_its_pod_alone(server: Server) -> None:
    pod_id, container_id = running_pod(server, "web")
    server.kill9()
    damage(server, "containers", container_id)
    server.start()
    left = server.left()
    assert not [thing for things in left.values() for thing in things if container_id in thing]
    with server.client() as client:
        assert [pod.id for pod in cri.pods(client)] == [pod_id] and cri.containers(client) == []
        pod = cri.pod_config("web")
        cri.start(client, cri.create(client, pod_id, cri.container_config("main", "sleep", "1000"), pod))
