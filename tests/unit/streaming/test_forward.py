from __future__ import annotations

import asyncio
import socket

import pytest

from criserver.lifecycle.running.streams import Forward
from criserver.streaming import forward
from criserver.streaming.wire.spdy_flow import INITIAL_WINDOW, Flow
from tests.support.streaming import FakeService, SpdyClient, serving

PROTOCOL = "portforward.k8s.io"


def pod_side(service: FakeService, port: int) -> socket.socket:
    """The pod's end of the connection that the next forward to the port gets."""
    here, there = socket.socketpair()
    here.setblocking(False)
    service.ports[port] = here.detach()
    there.setblocking(False)
    return there


def pair(client: SpdyClient, port: int, number: int) -> tuple[int, int]:
    common = {"port": str(port), "requestID": str(number)}
    return client.open(streamType="error", **common), client.open(streamType="data", **common)


async def test_many_on_one_connection_and_half_close() -> None:
    service, loop = FakeService(), asyncio.get_running_loop()
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Forward("p1")), PROTOCOL)
        pods = {port: pod_side(service, port) for port in (80, 81)}
        ids = {port: pair(client, port, port) for port in pods}
        for port, (_, data) in ids.items():
            await client.send(data, b"question %d" % port, end=True)
        for port, pod in pods.items():
            assert await loop.sock_recv(pod, 100) == b"question %d" % port
            assert await loop.sock_recv(pod, 100) == b""
            await loop.sock_sendall(pod, b"answer %d" % port)
            pod.close()
        for port, (error, data) in ids.items():
            assert await client.until_end(data) == b"answer %d" % port
            assert await client.until_end(error) == b""


async def test_what_waits_for_a_slow_pod_still_gets_there_after_both_ends() -> None:
    service, loop = FakeService(), asyncio.get_running_loop()
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Forward("p1")), PROTOCOL)
        pod = pod_side(service, 80)
        error, data = pair(client, 80, 1)
        await client.send(data, bytes(500_000), end=True)
        pod.shutdown(socket.SHUT_WR)
        assert await client.until_end(data) == b""
        assert error not in client.ended
        size = 0
        while piece := await loop.sock_recv(pod, 65536):
            size += len(piece)
        assert size == 500_000
        assert await client.until_end(error) == b""
        pod.close()


async def test_a_failure_ends_one_forward_alone() -> None:
    service, loop = FakeService(), asyncio.get_running_loop()
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Forward("p1")), PROTOCOL)
        pod = pod_side(service, 80)
        _, data = pair(client, 80, 1)
        refused, _ = pair(client, 9, 2)
        assert await client.until_end(refused) == b"cannot connect to port 9: Connection refused"
        await client.send(data, b"still here")
        assert await loop.sock_recv(pod, 100) == b"still here"
        pod.close()


async def test_a_reset_is_told() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    here = socket.create_connection(listener.getsockname())
    pod, _ = listener.accept()
    listener.close()
    here.setblocking(False)
    service = FakeService(ports={80: here.detach()})
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Forward("p1")), PROTOCOL)
        error, _ = pair(client, 80, 1)
        while service.ports:
            await asyncio.sleep(0.01)
        pod.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        pod.close()
        assert b"Connection reset by peer" in await client.until_end(error)


async def test_a_client_that_drops_a_forward_or_vanishes_closes_the_pods_connections() -> None:
    service, loop = FakeService(), asyncio.get_running_loop()
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Forward("p1")), PROTOCOL)
        one, two = pod_side(service, 80), pod_side(service, 81)
        _, first = pair(client, 80, 1)
        pair(client, 81, 2)
        while service.ports:
            await asyncio.sleep(0.01)
        client.reset(first)
        assert await loop.sock_recv(one, 100) == b""
        client.close()
        assert await loop.sock_recv(two, 100) == b""
        one.close()
        two.close()


async def test_half_opened_pairs_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_SWEEP", 0.05)
    async with serving(FakeService()) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Forward("p1")), PROTOCOL)
        error = client.open(streamType="error", port="80", requestID="1")
        assert b"timed out" in await client.until_end(error)


MANY = range(1, 51)
STALLED = 25


def answering(service: FakeService, size: int) -> list[asyncio.Task[None]]:
    """Pods that answer a question with so many bytes, one behind each port of MANY."""

    async def answer(pod: socket.socket) -> None:
        with pod:
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(pod, 100)
            await loop.sock_sendall(pod, bytes(size))

    return [asyncio.get_running_loop().create_task(answer(pod_side(service, port))) for port in MANY]


async def test_an_answer_that_the_client_does_not_take_holds_up_no_other() -> None:
    service, size = FakeService(), 300_000
    async with serving(service) as server, asyncio.timeout(30):
        client = await SpdyClient.connect(server.url(Forward("p1")), PROTOCOL, Flow.WILLING)
        pods = answering(service, size)
        streams = {port: pair(client, port, port)[1] for port in MANY}
        client.stalled.add(slow := streams[STALLED])
        for stream in streams.values():
            client.acknowledge(stream, INITIAL_WINDOW // 2)  # says that this client keeps windows
            await client.send(stream, b"?")
        for port, stream in streams.items():
            if port != STALLED:
                assert len(await client.until_end(stream)) == size
        assert INITIAL_WINDOW <= len(client.received[slow]) <= 2 * INITIAL_WINDOW
        assert slow not in client.ended
        client.stalled.clear()
        client.acknowledge(slow, len(client.received[slow]))
        assert len(await client.until_end(slow)) == size
        await asyncio.gather(*pods)


@pytest.mark.parametrize("flow", list(Flow), ids=[flow.value for flow in Flow])
async def test_a_pod_that_does_not_read_holds_up_no_other(flow: Flow) -> None:
    """A client that keeps windows stops by itself; for what another one sends there is room for a while."""
    service = FakeService()
    async with serving(service) as server, asyncio.timeout(30):
        client = await SpdyClient.connect(server.url(Forward("p1")), PROTOCOL, flow)
        idle = pod_side(service, 80)
        _, slow = pair(client, 80, 80)
        client.acknowledge(slow, INITIAL_WINDOW // 2)  # says that this client keeps windows, if it does
        sent = 0
        while sent < 3_000_000 and (room := min(50_000, client.room(slow))):
            await client.send(slow, bytes(room))
            sent += room
        pods = answering(service, 100_000)
        streams = [pair(client, port, port)[1] for port in MANY]
        for stream in streams:
            while not client.room(stream):
                assert await client.read()
            await client.send(stream, b"?")
        for stream in streams:
            assert len(await client.until_end(stream)) == 100_000
        assert sent == (INITIAL_WINDOW if flow is Flow.STRICT else 3_000_000)
        idle.setblocking(True)
        await asyncio.to_thread(lambda: [idle.recv(sent, socket.MSG_WAITALL)])
        while client.room(slow) < INITIAL_WINDOW // 2:
            assert await client.read()
        await client.send(slow, b"more", end=True)
        assert await asyncio.to_thread(lambda: idle.recv(100)) == b"more"
        idle.close()
        await asyncio.gather(*pods)
