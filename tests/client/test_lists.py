"""Lists of pods and containers as streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support import cri
from tests.support.server import Client, Server
from tests.support.streams import messages


@pytest.fixture(autouse=True)
def pods(client: Client, logs: Path) -> None:
    """Three more pods with a created container each, heavy with annotations."""
    cri.pull(client)
    for number in range(3):
        config = cri.pod_config(f"listed-{number}-{logs.parent.name}", logs)
        config.annotations["heavy"] = "x" * 200_000
        pod = cri.run(client, config)
        made = cri.container_config("main", "true")
        made.labels["number"] = str(number)
        made.annotations["heavy"] = "y" * 200_000
        cri.create(client, pod, made, config)


def test_pods_come_in_pieces_each_once(server: Server, client: Client) -> None:
    listed = cri.pods(client)
    streamed = messages(server.socket, "StreamPodSandboxes", pb.StreamPodSandboxesRequest())
    assert all(message.pod_sandboxes for message in streamed)
    assert [each for message in streamed for each in message.pod_sandboxes] == listed
    wanted = pb.PodSandboxFilter(id=listed[0].id)
    (message,) = messages(server.socket, "StreamPodSandboxes", pb.StreamPodSandboxesRequest(filter=wanted))
    assert list(message.pod_sandboxes) == listed[:1]


def test_containers_come_in_pieces_each_once(server: Server, client: Client) -> None:
    listed = cri.containers(client)
    streamed = messages(server.socket, "StreamContainers", pb.StreamContainersRequest())
    assert len(streamed) >= len(listed) // 5, "five of them fill a message"
    assert [each for message in streamed for each in message.containers] == listed
    wanted = pb.ContainerFilter(label_selector={"number": "none"})
    assert messages(server.socket, "StreamContainers", pb.StreamContainersRequest(filter=wanted)) == []
