"""One client connection: bytes to and from whoever speaks on it, with back-pressure both ways and an end to it.

It knows no protocol. Its speaker (first the HTTP handshake, then a session) is called from the loop and never waits.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from criserver.streaming.wire.machine import Buffer

_HIGH: Final = 512 << 10
"""Bytes that wait to be written before speakers are told to pause; they go on below a quarter of it."""
_LINGER: Final = 10.0
"""Seconds without progress after which a client that does not take the end is cut off."""
_WATCH: Final = 5.0
_ESTABLISHED: Final = 1  # TCP_ESTABLISHED, the first byte of struct tcp_info (tcp(7))
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class Speaker(Protocol):
    """What a link calls."""

    def received(self, data: bytes) -> None:
        """Bytes from the client."""

    def writable(self, on: bool) -> None:
        """Whether the client takes what is written as fast as it comes."""

    def lost(self, reason: str) -> None:
        """The client is gone; once, and the last call."""


class Link(asyncio.Protocol):
    """One client's connection. `idle` is in seconds without a byte either way."""

    def __init__(self, speaker: Callable[[Link], Speaker], closed: Callable[[Link], None], idle: float) -> None:
        """`speaker` makes the first one when the client is there; `closed` is called when the connection is over."""
        self._first, self._closed, self._idle = speaker, closed, idle
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._speaker: Speaker | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._active = self._loop.time()
        self._held = self._finishing = False
        self._drained = asyncio.Event()
        self._drained.set()

    # --- for the speaker ---

    def hand_over(self, speaker: Speaker) -> None:
        """From now on it is this one that speaks."""
        self._speaker = speaker

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Write these, in order; what the client does not take at once waits in memory."""
        if buffers and (transport := self._live()) and not self._finishing:
            self._active = self._loop.time()
            transport.writelines(buffers)

    @property
    def congested(self) -> bool:
        """Whether the client does not take what is written as fast as it comes."""
        return not self._drained.is_set()

    async def drained(self) -> None:
        """Wait until the client takes what is written; for ever when it has gone."""
        await self._drained.wait()

    def hold(self, on: bool) -> None:
        """Read nothing more from the client, or go on."""
        if on != self._held and (transport := self._live()):
            self._held = on
            (transport.pause_reading if on else transport.resume_reading)()

    def finish(self) -> None:
        """Close when everything is written and the client has closed, or does not take it any more.

        What it still sends is read and dropped: closing on unread bytes would reset the connection, and the client
        might never see what was written last (RFC 9112, 9.6).
        """
        if (transport := self._live()) is None or self._finishing:
            return
        self.hold(False)
        self._finishing = True
        if transport.can_write_eof():
            transport.write_eof()
        else:  # TLS has no half-close of its own: it writes everything, says that it closes, and closes.
            transport.close()
        self._loop.call_later(_LINGER, self._linger, transport.get_write_buffer_size())

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # --- for the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_HIGH, _HIGH // 4)
        self._keep_alive()
        self._speaker = self._first(self)
        self._look()

    def data_received(self, data: bytes) -> None:
        """The client sent something."""
        self._active = self._loop.time()
        if self._speaker is not None and not self._finishing:
            self._speaker.received(data)

    def pause_writing(self) -> None:
        """More waits to be written than is good."""
        self._drained.clear()
        if self._speaker is not None:
            self._speaker.writable(False)

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        self._drained.set()
        if self._speaker is not None:
            self._speaker.writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, on whichever side's wish."""
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            speaker.lost(f"the client's connection broke: {exc}" if exc else "the client closed its connection")
        self._closed(self)

    # --- watching ---

    def _live(self) -> asyncio.Transport | None:
        """The transport while it is open."""
        return None if self._transport is None or self._transport.is_closing() else self._transport

    def _keep_alive(self) -> None:
        """A client whose machine went away without a word is noticed after a minute."""
        client = self._transport.get_extra_info("socket") if self._transport else None
        if client is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                client.setsockopt(socket.IPPROTO_TCP, option, value)

    def _look(self) -> None:
        """Close a link that is idle, or whose client left while nothing is read from it and so nobody would notice."""
        if self._transport is None:
            return
        if self._loop.time() - self._active > self._idle or (self._held and self._left()):
            self.abort()
            return
        self._watch = self._loop.call_later(min(_WATCH, self._idle), self._look)

    def _left(self) -> bool:
        client = self._transport.get_extra_info("socket") if self._transport else None
        return client is not None and client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED

    def _linger(self, left: int) -> None:
        if self._transport is None:
            return
        size = self._transport.get_write_buffer_size()
        if 0 < size < left:
            self._loop.call_later(_LINGER, self._linger, size)
        else:
            self._transport.abort()
