"""The states of a SPDY stream: two halves, each its own small machine, and the table that both obey.

A stream that a side opens may carry its data at once; the other half waits for SYN_REPLY first. HEADERS and DATA are
alike here. A pair that is not in the table is an error (draft 2.3.3 to 2.3.7). `Streams` holds those of one
connection and their ids. It must not know frames' bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from criserver.streaming.wire.machine import LocalProtocolError, RemoteProtocolError
from criserver.streaming.wire.spdy_frames import MAX_STREAM_ID


class Half(Enum):
    """One direction of a stream."""

    WAITING = auto()
    """Its sender must reply (SYN_REPLY) before anything else."""
    OPEN = auto()
    CLOSED = auto()


class Step(Enum):
    """What its sender does with it."""

    REPLY = auto()
    REPLY_FIN = auto()
    CARRY = auto()
    CARRY_FIN = auto()


TRANSITIONS: dict[tuple[Half, Step], Half] = {
    (Half.WAITING, Step.REPLY): Half.OPEN,
    (Half.WAITING, Step.REPLY_FIN): Half.CLOSED,
    (Half.OPEN, Step.CARRY): Half.OPEN,
    (Half.OPEN, Step.CARRY_FIN): Half.CLOSED,
}


@dataclass(slots=True)
class Stream:
    """One stream as this side sees it: `sending` is its own half, `receiving` the peer's."""

    sending: Half
    receiving: Half

    @property
    def done(self) -> bool:
        """Nothing more can come or go."""
        return self.sending is Half.CLOSED and self.receiving is Half.CLOSED


def opened_here(*, fin: bool) -> Stream:
    """A stream just after this side's SYN_STREAM."""
    return Stream(sending=Half.CLOSED if fin else Half.OPEN, receiving=Half.WAITING)


def opened_by_peer(*, fin: bool) -> Stream:
    """A stream just after the peer's SYN_STREAM."""
    return Stream(sending=Half.WAITING, receiving=Half.CLOSED if fin else Half.OPEN)


class Streams:
    """The streams of one connection; this side's ids have its parity, and either side's only rise."""

    __slots__ = ("_by_id", "_last_of_peer", "_next", "_parity", "_peer_open")

    def __init__(self, parity: int, first: int) -> None:
        self._by_id: dict[int, Stream] = {}
        self._parity = parity
        self._next = first
        self._last_of_peer = 0
        self._peer_open = 0

    def __contains__(self, stream_id: int) -> bool:
        return stream_id in self._by_id

    def __iter__(self) -> Iterator[int]:
        return iter(self._by_id)

    def get(self, stream_id: int) -> Stream | None:
        """The stream, or None when it is over or never was."""
        return self._by_id.get(stream_id)

    @property
    def last_of_peer(self) -> int:
        """The highest id that the peer has used."""
        return self._last_of_peer

    @property
    def peer_open(self) -> int:
        """How many streams of the peer's are not over."""
        return self._peer_open

    def open_here(self, *, fin: bool) -> int:
        """Add a stream of this side's; its id."""
        if self._next > MAX_STREAM_ID:
            raise LocalProtocolError("SPDY stream ids are used up; open another connection")
        stream_id = self._next
        self._next += 2
        self._by_id[stream_id] = opened_here(fin=fin)
        return stream_id

    def seen(self, stream_id: int) -> None:
        """Note an id that the peer opens; RemoteProtocolError unless it is of its parity and higher than the last."""
        if stream_id % 2 == self._parity or stream_id <= self._last_of_peer:
            raise RemoteProtocolError(
                f"SPDY stream {stream_id} opened by the peer after {self._last_of_peer}; its ids must rise by two"
            )
        self._last_of_peer = stream_id

    def add_of_peer(self, stream_id: int, *, fin: bool) -> None:
        """Add a stream that the peer opened."""
        self._by_id[stream_id] = opened_by_peer(fin=fin)
        self._peer_open += 1

    def forget(self, stream_id: int) -> None:
        """Drop a stream that is over."""
        del self._by_id[stream_id]
        self._peer_open -= stream_id % 2 != self._parity

    def never_opened(self, stream_id: int) -> bool:
        """Whether neither side has used this id yet (unlike one that is over)."""
        if stream_id % 2 == self._parity:
            return stream_id >= self._next
        return stream_id > self._last_of_peer
