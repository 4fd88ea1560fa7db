"""The stdin of an attached client, on its way to the container's monitor."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from criserver.errors import Unavailable
from criserver.ports.streams import Attachment
from criserver.streaming.pumps import Pressure
from criserver.streaming.wire.machine import Buffer

_OVERHEAD: Final = 256
"""Bytes that a piece costs beside its own."""


class AttachedStdin:
    """Keeps what a client sends until the container takes it."""

    def __init__(self, pressure: Pressure) -> None:
        self._pressure = pressure
        self._waiting: deque[Buffer] = deque()
        self._more = asyncio.Event()
        self._ending = self._closed = False

    def feed(self, data: Buffer) -> None:
        """Bytes for the container."""
        if not self._closed and not self._ending:
            self._waiting.append(data)
            self._pressure.add(len(data) + _OVERHEAD)
            self._more.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ending = True
        self._more.set()

    def close(self) -> None:
        """Drop what waits."""
        self._closed = True
        while self._waiting:
            self._pressure.add(-len(self._waiting.popleft()) - _OVERHEAD)

    async def write_to(self, attachment: Attachment) -> None:
        """Write what is fed until its end; a container that is gone takes no more, which its output's end tells."""
        try:
            while await self._more.wait():
                self._more.clear()
                while self._waiting:
                    data = self._waiting.popleft()
                    try:
                        await attachment.write(bytes(data))
                    finally:
                        self._pressure.add(-len(data) - _OVERHEAD)
                if self._ending:
                    return await attachment.write_eof()
        except Unavailable:
            self.close()
