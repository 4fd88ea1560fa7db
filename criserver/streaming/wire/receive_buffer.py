"""Received bytes waiting to be parsed, without moving them.

A chunk is parsed where it lies and given out as memoryviews of it: the payload of a DATA frame is never copied here.
Only a header or control frame that is torn across chunks is gathered, so what is held never exceeds the largest
`take()` asked for. It must not know any frame layout.
"""

from __future__ import annotations

from criserver.streaming.wire.machine import Buffer


class ReceiveBuffer:
    """One connection's input; chunks are immutable `bytes`, so the views given out stay true for ever."""

    __slots__ = ("_chunk", "_held", "_pos")

    def __init__(self) -> None:
        self._chunk = memoryview(b"")
        self._pos = 0
        self._held = bytearray()

    def feed(self, data: bytes) -> None:
        """Add received bytes; a caller that drains its machine before feeding again never pays for a copy."""
        if self._pos < len(self._chunk):
            data = bytes(self._chunk[self._pos :]) + data
        self._chunk = memoryview(data)
        self._pos = 0

    def take(self, size: int) -> Buffer | None:
        """Exactly `size` bytes, or None until they are there; ask again for the same size then."""
        pos = self._pos
        if not self._held and len(self._chunk) - pos >= size:
            self._pos = pos + size
            return self._chunk[pos : pos + size]
        self._held += self.take_some(size - len(self._held))
        if len(self._held) < size:
            return None
        whole = bytes(self._held)
        self._held.clear()
        return whole

    def take_some(self, limit: int) -> memoryview:
        """What has come of the next `limit` bytes; empty when nothing has."""
        piece = self._chunk[self._pos : self._pos + limit]
        self._pos += len(piece)
        return piece
