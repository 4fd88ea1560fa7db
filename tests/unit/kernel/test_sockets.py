from __future__ import annotations

import asyncio
import socket

import pytest

from criserver.kernel import sockets


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_connects_without_blocking(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        with sockets.begin_connect("", address, listener.getsockname()[1]) as connecting:
            assert not connecting.getblocking()
            await asyncio.wait_for(sockets.connected(connecting), 5)
            accepted, _ = listener.accept()
            with accepted:
                connecting.send(b"x")
                assert accepted.recv(1) == b"x"


async def test_a_refusal_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError), sockets.begin_connect("", "127.0.0.1", port) as connecting:
        await asyncio.wait_for(sockets.connected(connecting), 5)


def test_a_namespace_that_is_gone() -> None:
    with pytest.raises(FileNotFoundError):
        sockets.begin_connect("/nowhere/ns/net", "127.0.0.1", 80)
