"""Packets keep their bounds, carry descriptors, and end."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from criserver.kernel.packets import Packets


async def test_packets_and_descriptors_come_as_they_were_sent() -> None:
    ours, theirs = Packets.pair(100)
    receiving = asyncio.gather(ours.receive())
    await asyncio.sleep(0)
    reader, writer = os.pipe()
    socket.send_fds(theirs, [b"one"], [reader])
    theirs.send(b"two" * 100)
    ((data, fds),) = await receiving
    os.write(writer, b"x")
    assert (data, os.read(fds[0], 9), os.get_inheritable(fds[0])) == (b"one", b"x", False)
    assert await ours.receive() == ((b"two" * 100)[:100], [])
    await ours.send(b"back", [writer])
    data, fds2, _, _ = socket.recv_fds(theirs, 10, 1)
    assert (data, len(fds2)) == (b"back", 1)
    theirs.close()
    assert await ours.receive() == (b"", [])
    with pytest.raises(OSError, match="pipe"):
        await ours.send(b"nobody")
    ours.close()
    for fd in (reader, writer, *fds, *fds2):
        os.close(fd)


async def test_a_full_socket_is_waited_for() -> None:
    ours, theirs = Packets.pair(1000)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        for _ in range(2000):
            await ours.send(bytes(1000))
            sent += 1

    flooding = asyncio.gather(flood())
    await asyncio.sleep(0.05)
    assert sent < 2000
    for _ in range(2000):
        await asyncio.to_thread(theirs.recv, 1000)
    await flooding
    ours.close()
    theirs.close()


async def test_a_receiver_that_gives_up_takes_nothing() -> None:
    ours, theirs = Packets.pair(10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ours.receive(), 0.01)
    theirs.send(b"kept")
    assert await ours.receive() == (b"kept", [])
    ours.close()
    theirs.close()
