"""GetContainerEvents against a running server: order, completeness after a snapshot, what becomes of listeners."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.server import Client, Server
from tests.support.streams import open_stream

CREATED, STARTED = pb.ContainerEventType.CONTAINER_CREATED_EVENT, pb.ContainerEventType.CONTAINER_STARTED_EVENT
STOPPED, DELETED = pb.ContainerEventType.CONTAINER_STOPPED_EVENT, pb.ContainerEventType.CONTAINER_DELETED_EVENT
Event = pb.ContainerEventResponse


class Listener:
    """Takes events in a thread of its own, from the moment that it is made."""

    def __init__(self, server: Server) -> None:
        self.events: list[Event] = []
        self.error: grpc.RpcError | None = None
        self._stream = open_stream(
            server.socket, "GetContainerEvents", pb.GetEventsRequest(), "ContainerEventResponse", seconds=900
        )
        self._call = self._stream.__enter__()
        self._call.initial_metadata()  # has come: everything from now on is heard
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        try:
            for event in self._call:
                self.events.append(event)
        except grpc.RpcError as error:
            self.error = error

    def until(self, subject: str, kind: int) -> list[Event]:
        """All events so far, once that one has come."""
        deadline = time.monotonic() + 30
        while not any(each.container_id == subject and each.container_event_type == kind for each in self.events):
            assert self.error is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return list(self.events)

    def wait(self) -> None:
        """Wait for the server to end the stream."""
        self._thread.join(30)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self._stream.__exit__(None, None, None)
        self._thread.join(30)


@pytest.fixture
def listener(server: Server) -> Iterator[Listener]:
    made = Listener(server)
    yield made
    made.close()


def live(client: Client, name: str, logs: Path) -> tuple[str, str]:
    """The whole life of a pod; its id and its container's."""
    config = cri.pod_config(name, logs)
    pod = cri.run(client, config)
    container = cri.create(client, pod, cri.container_config("main", "sleep", "1000"), config)
    cri.start(client, container)
    client("StopContainer", pb.StopContainerRequest(container_id=container, timeout=0))
    client("RemoveContainer", pb.RemoveContainerRequest(container_id=container))
    client("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod))
    client("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))
    return pod, container


def test_the_life_of_a_pod(client: Client, listener: Listener, logs: Path) -> None:
    cri.pull(client)
    pod, container = live(client, "life", logs)
    told = listener.until(pod, DELETED)
    assert [(each.container_event_type, each.container_id) for each in told] == [
        (CREATED, pod), (STARTED, pod), (CREATED, container), (STARTED, container), (STOPPED, container),
        (DELETED, container), (STOPPED, pod), (DELETED, pod),
    ]  # fmt: skip
    states = [[status.state for status in each.containers_statuses] for each in told]
    running, exited = pb.ContainerState.CONTAINER_RUNNING, pb.ContainerState.CONTAINER_EXITED
    assert states == [[], [], [pb.ContainerState.CONTAINER_CREATED], [running], [exited], [], [], []]
    ended = told[4].containers_statuses[0]
    assert (ended.exit_code, ended.metadata.name) == (137, "main")
    assert 0 < ended.started_at <= ended.finished_at
    assert told[1].pod_sandbox_status.network.ip
    assert told[6].pod_sandbox_status.state == pb.PodSandboxState.SANDBOX_NOTREADY
    assert not told[7].HasField("pod_sandbox_status")
    assert all(one.created_at < other.created_at for one, other in pairwise(told))


def test_what_an_event_says_is_what_a_status_asked_afterwards_says(
    client: Client, listener: Listener, logs: Path
) -> None:
    cri.pull(client)
    config = cri.pod_config("same", logs)
    pod = cri.run(client, config)
    container = cri.create(client, pod, cri.container_config("main", "sh", "-c", "exit 7"), config)
    cri.start(client, container)
    (event,) = [
        each for each in listener.until(container, STOPPED)
        if each.container_event_type == STOPPED and each.container_id == container
    ]  # fmt: skip
    assert event.containers_statuses[0] == cri.status(client, container)
    assert event.containers_statuses[0].exit_code == 7
    status = client("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod)).status
    assert event.pod_sandbox_status == status
    cri.remove_pod(client, pod)


PODS, AT_ONCE, LEFT = 200, 8, 8


def begin(client: Client, name: str, logs: Path) -> tuple[str, str]:
    """A pod whose container runs; the two ids."""
    config = cri.pod_config(name, logs)
    pod = cri.run(client, config)
    container = cri.create(client, pod, cri.container_config("main", "sleep", "1000"), config)
    cri.start(client, container)
    return pod, container


def applied(state: dict[str, int], event: Event) -> None:
    """What a kubelet makes of an event: it has every container of the pod that is left."""
    state.pop(event.container_id, None)
    state.update({status.id: status.state for status in event.containers_statuses})


class Follower(threading.Thread):
    """As a kubelet: listen, take the lists, apply events; after a while hang up and begin again."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.done = server, threading.Event()
        self.sessions: list[tuple[list[Event], dict[str, int]]] = []

    def run(self) -> None:
        with self.server.client() as client:
            while not self.done.is_set():
                following = Listener(self.server)
                state = {each.id: int(each.state) for each in cri.containers(client)}
                self.done.wait(1.0)
                following.close()
                for event in following.events:
                    applied(state, event)
                self.sessions.append((following.events, state))

    def finish(self) -> dict[str, int]:
        """The last session's state, once there has been time for a whole one."""
        time.sleep(2.5)
        self.done.set()
        self.join(30)
        return self.sessions[-1][1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_out_of_order_under_churn_with_reconnects(server: Server, logs: Path) -> None:
    with server.client() as client:
        cri.pull(client)
        witness, follower = Listener(server), Follower(server)
        follower.start()
        try:
            with ThreadPoolExecutor(AT_ONCE) as threads:
                names = [f"churn-{number}" for number in range(PODS)]
                lives = list(threads.map(lambda name: live(client, name, logs), names))
                left = list(threads.map(lambda number: begin(client, f"left-{number}", logs), range(LEFT)))
            witness.until(lives[-1][0], DELETED)
        finally:
            state = follower.finish()
        listed = {each.id: int(each.state) for each in cri.containers(client)}
        witness.close()
        assert len(follower.sessions) > 5
        assert state == listed
        assert sorted(listed) == sorted(container for _, container in left)
        for pod, _ in left:
            cri.remove_pod(client, pod)

    told: dict[str, list[int]] = defaultdict(list)
    for event in witness.events:
        told[event.container_id].append(event.container_event_type)
    for pod, container in lives:
        assert told[pod] == [CREATED, STARTED, STOPPED, DELETED]
        assert told[container] == [CREATED, STARTED, STOPPED, DELETED]
    stamps = [event.created_at for event in witness.events]
    assert stamps == sorted(set(stamps)), "timestamps grow from event to event"
    for events, state in follower.sessions:
        if events:
            first, last = stamps.index(events[0].created_at), stamps.index(events[-1].created_at)
            assert events == witness.events[first : last + 1], "a session hears everything, in order"
            assert state == reached(witness.events[: last + 1]), "a snapshot and what follows is the truth"


def reached(events: list[Event]) -> dict[str, int]:
    """The state that all events up to some moment lead to, from nothing."""
    state: dict[str, int] = {}
    for event in events:
        applied(state, event)
    return state


def test_a_stop_of_the_server_ends_streams_and_says_so(base: Path, pulling: Mapping[str, str]) -> None:
    with serving(base / "stopping", {"image": pulling}) as server:
        listener = Listener(server)
        health: list[int] = []
        with grpc.insecure_channel(server.socket) as channel:
            call: Any = channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                request_serializer=StringValue.SerializeToString,
                response_deserializer=Int32Value.FromString,
            )(StringValue(value="runtime.v1.RuntimeService"), timeout=60)
            health.append(next(call).value)
            server.stop()
            health += [answer.value for answer in call]
        listener.wait()
        assert listener.error is None
        assert health == [1, 2]
        assert server.process is not None
        assert server.process.returncode == 0
        server.start()


def test_health(server: Server) -> None:
    with grpc.insecure_channel(server.socket) as channel:
        check: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=Int32Value.FromString,
        )
        assert check(StringValue(), timeout=10).value == 1
        assert check(StringValue(value="runtime.v1.ImageService"), timeout=10).value == 1
        with pytest.raises(grpc.RpcError) as caught:
            check(StringValue(value="none"), timeout=10)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
