"""Packets with descriptors, to a child process and back, in the event loop (unix(7): SOCK_SEQPACKET, SCM_RIGHTS)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import Self

_DESCRIPTORS = 4
"""Most descriptors of a packet that are taken; the kernel closes what is beyond."""


class Packets:
    """Our end of a socket pair. One sender and one receiver at a time."""

    def __init__(self, connected: socket.socket, limit: int) -> None:
        """`connected` is owned from now on; `limit` is in bytes, what is longer comes cut."""
        connected.setblocking(False)
        self._socket = connected
        self._limit = limit

    @classmethod
    def pair(cls, limit: int) -> tuple[Self, socket.socket]:
        """Our end, and the one that a child is to get."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        return cls(ours, limit), theirs

    async def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send one packet; the other end gets copies of `fds`. OSError when nobody is there."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                socket.send_fds(self._socket, [data], fds)
            except BlockingIOError:
                await self._ready(loop.add_writer, loop.remove_writer)
            else:
                return

    async def receive(self) -> tuple[bytes, list[int]]:
        """The next packet and its descriptors, the caller's from now on; (b"", []) at the end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, self._limit, _DESCRIPTORS)
            except BlockingIOError:
                await self._ready(loop.add_reader, loop.remove_reader)
            except ConnectionError:
                return b"", []
            else:
                for fd in fds:
                    os.set_inheritable(fd, False)  # recv_fds has flags, and does not use them (CPython 3.11).
                return data, fds

    def close(self) -> None:
        """Close our end. Idempotent."""
        self._socket.close()

    async def _ready(self, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
        fd = self._socket.fileno()
        ready = asyncio.get_running_loop().create_future()
        add(fd, _set, ready)
        try:
            await ready
        finally:
            remove(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
