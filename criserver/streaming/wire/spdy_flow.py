"""SPDY/3.1 flow control: how many DATA bytes each side may still send, on each stream and in the whole session.

Windows start at 64 KiB; SETTINGS changes the streams' first window, never the session's; WINDOW_UPDATE for stream 0 is
the session's (SPDY/3.1 draft, 2.6.8). Kubernetes' peers (moby/spdystream) neither send nor heed any of this, and nobody
can tell before they do. Only arithmetic: it must not know frames' bytes or stream states.
"""

from __future__ import annotations

from enum import Enum

from criserver.streaming.wire.machine import LocalProtocolError, RemoteProtocolError

INITIAL_WINDOW = 64 * 1024
"""Bytes that may be sent before any WINDOW_UPDATE."""
MAX_WINDOW = (1 << 31) - 1
SESSION = 0
"""The stream id that stands for the whole session."""


class Flow(Enum):
    """What a connection makes of windows."""

    OFF = "off"
    """Nothing: nobody waits, nobody is told."""
    WILLING = "willing"
    """The peer is given credit as its data is used, and nothing happens when it does not care; its own windows hold
    from its first word about them. The session's window is for the transport to guard: it never runs out here."""
    STRICT = "strict"
    """As the draft has it."""


class FlowControl:
    """All windows of one connection."""

    __slots__ = ("_heeded", "_initial", "_receive", "_send", "_strict", "_unsaid")

    def __init__(self, *, strict: bool = True) -> None:
        self._strict = self._heeded = strict
        self._initial = INITIAL_WINDOW
        self._send = {SESSION: INITIAL_WINDOW}
        self._receive = {SESSION: INITIAL_WINDOW}
        self._unsaid = {SESSION: 0}

    def open(self, stream_id: int) -> None:
        """Begin a stream's windows."""
        self._send[stream_id] = self._initial
        self._receive[stream_id] = INITIAL_WINDOW
        self._unsaid[stream_id] = 0

    def forget(self, stream_id: int) -> None:
        """End a stream's windows."""
        for windows in (self._send, self._receive, self._unsaid):
            windows.pop(stream_id, None)

    def sendable(self, stream_id: int) -> int:
        """Bytes that may be sent on the stream now; none on one that is over."""
        if not self._heeded:
            return MAX_WINDOW
        return max(0, min(self._send[SESSION], self._send.get(stream_id, 0)))

    def sent(self, stream_id: int, size: int) -> None:
        """Take `size` bytes off both windows; LocalProtocolError when they do not hold as much."""
        if size > self.sendable(stream_id):
            raise LocalProtocolError(
                f"stream {stream_id}: {size} bytes to send, its window holds {self.sendable(stream_id)}"
            )
        self._send[SESSION] -= size
        self._send[stream_id] -= size

    def received(self, stream_id: int, size: int) -> bool:
        """Book received bytes; False when the stream's window was too small, an error when the session's was.

        A stream that is not (or no longer) known is booked to the session alone.
        """
        if not self._strict:
            return True
        self._receive[SESSION] -= size
        if self._receive[SESSION] < 0:
            raise RemoteProtocolError("SPDY peer sent more than the session's window allows")
        if stream_id not in self._receive:
            return True
        self._receive[stream_id] -= size
        return self._receive[stream_id] >= 0

    def arrived(self, size: int) -> list[tuple[int, int]]:
        """Give the peer received bytes back to the session's window at once; the update to send, few and large."""
        return [] if self._strict else self._give_back(SESSION, size)

    def consumed(self, stream_id: int, size: int) -> list[tuple[int, int]]:
        """Give the peer `size` used bytes back: the (stream, delta) updates to send, few and large."""
        return (self._give_back(SESSION, size) if self._strict else []) + self._give_back(stream_id, size)

    def _give_back(self, window_id: int, size: int) -> list[tuple[int, int]]:
        if window_id not in self._unsaid:
            return []
        self._unsaid[window_id] += size
        delta = self._unsaid[window_id]
        if delta < INITIAL_WINDOW // 2:
            return []
        self._receive[window_id] += delta
        self._unsaid[window_id] = 0
        return [(window_id, delta)]

    def grow(self, stream_id: int, delta: int) -> bool:
        """The peer's WINDOW_UPDATE: False when a stream's window would overflow, an error when the session's."""
        self._heeded = True
        if stream_id not in self._send:
            return True
        self._send[stream_id] += delta
        if self._send[stream_id] <= MAX_WINDOW:
            return True
        if stream_id == SESSION:
            raise RemoteProtocolError(f"SPDY session window grown by {delta} to more than {MAX_WINDOW}")
        return False

    def resize(self, initial: int) -> None:
        """The peer's SETTINGS_INITIAL_WINDOW_SIZE: open streams' windows move by the difference, even below zero."""
        if initial > MAX_WINDOW:
            raise RemoteProtocolError(f"SPDY initial window of {initial}; at most {MAX_WINDOW} is allowed")
        self._heeded = True
        for stream_id in self._send:
            if stream_id != SESSION:
                self._send[stream_id] += initial - self._initial
        self._initial = initial
