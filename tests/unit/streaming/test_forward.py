from __future__ import annotations

import asyncio
import socket

import pytest

from criserver.lifecycle.streams import Forward
from criserver.streaming import forward
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
