from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket

import pytest

from criserver.errors import FailedPrecondition
from criserver.lifecycle.running.streams import Attach, Exec, Forward
from criserver.ports.streams import Wanted
from tests.support.streaming import FakeService, SpdyClient, request, serving

UPGRADE = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
WISH = Exec("c1", ("x",), Wanted(stdout=True))


async def answer(url: str, head: str = "", method: str = "GET") -> bytes:
    """All that the server answers."""
    reader, _ = await request(url, head, method=method)
    return await reader.read()


async def test_urls(service: FakeService) -> None:
    async with serving(service) as server:
        pattern = r"http://127\.0\.0\.1:\d+/%s/[\w-]{43}"
        assert re.fullmatch(pattern % "exec", server.url(WISH))
        assert re.fullmatch(pattern % "attach", server.url(Attach("c1", Wanted(stdout=True))))
        assert re.fullmatch(pattern % "portforward", server.url(Forward("p1")))
    async with serving(service, address="0.0.0.0") as server:
        assert server.url(WISH).startswith("http://127.0.0.1:")
    async with serving(service, address="::1") as server:
        assert server.url(WISH).startswith("http://[::1]:")


async def test_a_url_is_good_once_and_for_its_kind(service: FakeService) -> None:
    async with serving(service) as server, asyncio.timeout(10):
        url = server.url(WISH)
        client = await SpdyClient.connect(url, "v4.channel.k8s.io")
        assert (await answer(url, UPGRADE)).startswith(b"HTTP/1.1 404 ")
        other = server.url(WISH).replace("/exec/", "/attach/")
        assert b"was used already" in await answer(other, UPGRADE)
        client.close()


@pytest.mark.parametrize("path", ["/", "/exec", "/exec/x/y", "//exec/x", "/exec/"])
async def test_other_paths(service: FakeService, path: str) -> None:
    async with serving(service) as server, asyncio.timeout(10):
        base = server.url(WISH).rpartition("/exec/")[0]
        assert (await answer(base + path, UPGRADE)).startswith(b"HTTP/1.1 404 ")


async def test_what_is_no_upgrade_is_refused(service: FakeService) -> None:
    async with serving(service) as server, asyncio.timeout(10):
        assert (await answer(server.url(WISH))).startswith(b"HTTP/1.1 400 ")
        assert (await answer(server.url(WISH), UPGRADE.replace("v4", "v9"))).startswith(b"HTTP/1.1 403 ")
        channels = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        channels += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n"
        assert b"takes 1 to 127 ports" in await answer(server.url(Forward("p1")), channels)


async def test_connections_are_bounded(service: FakeService) -> None:
    async with serving(service, connections=1) as server, asyncio.timeout(10):
        await request(server.url(WISH))  # does not say all
        assert (await answer(server.url(WISH), UPGRADE)).startswith(b"HTTP/1.1 503 ")


async def test_idle_clients_are_closed(service: FakeService) -> None:
    async with serving(service, idle=0.1) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(WISH), "v4.channel.k8s.io")
        client.open(streamType="error")
        with contextlib.suppress(ConnectionError):
            while await client.read():
                pass


async def test_stopping_ends_sessions(service: FakeService) -> None:
    assert service.process is not None
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(WISH), "v4.channel.k8s.io")
        client.open(streamType="error")
        stdout = client.open(streamType="stdout")
        os.write(service.process.stdout, b"there")
        await client.until(stdout, b"there")
        await server.stop()
        assert service.process.ended.is_set()


async def test_a_port_that_is_taken(service: FakeService) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(FailedPrecondition, match=r"streaming\.address, streaming\.port: cannot listen"):
            async with serving(service, port=taken.getsockname()[1]):
                pass
