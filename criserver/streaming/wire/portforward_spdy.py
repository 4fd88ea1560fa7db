"""Port-forward over SPDY: a pair of streams for each connection, `error` and `data`, joined by their `requestID`.

Each SYN_STREAM has the headers `streamType`, `port` and `requestID`; very old clients leave the last out, and their
pair has consecutive ids, error first (k8s.io/cri-streaming, pkg/streaming/portforward/httpstream.go).

A client that keeps SPDY's windows gets them, a forward that is slow then holds up no other. kubectl and crictl do not.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, NeedData, first_value
from criserver.streaming.wire.portforward import (
    ForwardData,
    ForwardEnded,
    ForwardLost,
    ForwardOpened,
    ForwardsGone,
    ForwardsRoom,
    PortForwardEvent,
    parse_port,
)
from criserver.streaming.wire.spdy import Role, SpdyConnection
from criserver.streaming.wire.spdy_events import (
    DataReceived,
    GoAwayReceived,
    SpdyEvent,
    StreamOpened,
    StreamReset,
    WindowOpened,
)
from criserver.streaming.wire.spdy_flow import Flow
from criserver.streaming.wire.spdy_frames import Reset

_DATA: Final = "data"
_ERROR: Final = "error"
_MAX_EARLY = 64 * 1024
"""Bytes kept, of all pairs together, for those whose error stream has not come yet."""


@dataclass(slots=True)
class _Pair:
    """What has come of one pair; its forward's id is its data stream's."""

    request_id: str
    port: int = 0
    data_id: int = 0
    error_id: int = 0
    early: bytearray = field(default_factory=bytearray)
    ended: bool = False
    swept: bool = False

    @property
    def whole(self) -> bool:
        return bool(self.data_id and self.error_id)


class SpdyPortForward:
    """A `PortForward` on a SPDY connection, from the first byte after the upgrade."""

    def __init__(self) -> None:
        self._spdy = SpdyConnection(Role.SERVER, flow=Flow.WILLING)
        self._pairs: dict[str, _Pair] = {}
        self._by_stream: dict[int, _Pair] = {}
        self._early = 0
        self._events: deque[PortForwardEvent] = deque()

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; then drain `next_event()`."""
        self._spdy.receive_data(data)

    def next_event(self) -> PortForwardEvent | NeedData:
        """The next thing the client did, or NEED_DATA; RemoteProtocolError when it broke the protocol."""
        while not self._events:
            event = self._spdy.next_event()
            if event is NEED_DATA or isinstance(event, Answer):
                return event
            self._translate(event)
        return self._events.popleft()

    def room(self, forward_id: int) -> int:
        """Bytes that `send` takes now."""
        return self._spdy.window(forward_id)

    def used(self, forward_id: int, size: int) -> list[Buffer]:
        """The pod has taken so many bytes of that connection."""
        update = self._spdy.acknowledge(forward_id, size)
        return [update] if update else []

    def send(self, forward_id: int, data: Buffer) -> list[Buffer]:
        """Bytes from the pod, no more than `room`; nothing for a forward that is over."""
        if not len(data) or not self._spdy.can_send(forward_id):
            return []
        return self._spdy.send_data(forward_id, data)

    def end(self, forward_id: int) -> list[Buffer]:
        """The pod will send nothing more; the client may."""
        return self._end_stream(forward_id, b"")

    def close(self, forward_id: int, error: str = "") -> list[Buffer]:
        """That connection is over: the reason on its error stream first, then its data stream closed, or reset."""
        pair = self._by_stream.get(forward_id)
        if pair is None:
            return []
        out = self._end_stream(pair.error_id, error.encode("utf-8"))
        if not error:
            out += self._end_stream(forward_id, b"")
        out += [frame for frame in (self._spdy.reset(pair.error_id), self._spdy.reset(forward_id)) if frame]
        self._forget(pair)
        return out

    def sweep(self) -> list[Buffer]:
        """Refuse the pairs that were half opened at the last call and still are."""
        out: list[Buffer] = []
        for pair in [pair for pair in self._pairs.values() if not pair.whole]:
            if pair.swept:
                out += self._abandon(pair, f"request {pair.request_id}: timed out waiting for its other stream")
            pair.swept = True
        return out

    def finish(self) -> list[Buffer]:
        """Every stream reset, and GOAWAY."""
        resets: list[Buffer] = [self._spdy.reset(stream_id) for stream_id in self._spdy.open_streams]
        return [*resets, self._spdy.go_away()]

    def _translate(self, event: SpdyEvent) -> None:
        if isinstance(event, DataReceived):
            self._on_data(event)
        elif isinstance(event, StreamOpened):
            self._on_open(event)
        elif isinstance(event, StreamReset):
            self._on_reset(event.stream_id)
        elif isinstance(event, WindowOpened):
            self._events.append(ForwardsRoom())
        elif isinstance(event, GoAwayReceived):
            self._events.append(ForwardsGone("the client said GOAWAY"))

    def _on_open(self, event: StreamOpened) -> None:
        stream_type = first_value(event.headers, "streamtype")
        port = parse_port(first_value(event.headers, "port") or "")
        if port is None or stream_type not in (_DATA, _ERROR):
            self._refuse(event.stream_id)
            return
        offset = 2 if stream_type == _DATA else 0
        request_id = first_value(event.headers, "requestid") or str(event.stream_id - offset)
        pair = self._pairs.setdefault(request_id, _Pair(request_id))
        if pair.data_id if stream_type == _DATA else pair.error_id:
            self._refuse(event.stream_id)
            return
        self._by_stream[event.stream_id] = pair
        self._events.append(Answer(self._spdy.accept(event.stream_id)))
        if stream_type == _DATA:
            pair.data_id, pair.port, pair.ended = event.stream_id, port, event.end_stream
        else:
            pair.error_id = event.stream_id
        if pair.whole:
            self._open(pair)

    def _open(self, pair: _Pair) -> None:
        self._events.append(ForwardOpened(pair.data_id, pair.port))
        if pair.early:
            self._early -= len(pair.early)
            self._events.append(ForwardData(pair.data_id, bytes(pair.early)))
            pair.early.clear()
        if pair.ended:
            self._events.append(ForwardEnded(pair.data_id))

    def _on_data(self, event: DataReceived) -> None:
        pair = self._by_stream.get(event.stream_id)
        if pair is None or event.stream_id != pair.data_id:
            return
        if not pair.whole:
            self._hold(pair, event)
            return
        if len(event.data):
            self._events.append(ForwardData(pair.data_id, event.data))
        if event.end_stream:
            self._events.append(ForwardEnded(pair.data_id))

    def _hold(self, pair: _Pair, event: DataReceived) -> None:
        pair.early += event.data
        pair.ended = event.end_stream
        self._early += len(event.data)
        if self._early > _MAX_EARLY:
            self._events.append(Answer(b"".join(self._abandon(pair, ""))))

    def _on_reset(self, stream_id: int) -> None:
        pair = self._by_stream.get(stream_id)
        if pair is None:
            return
        if pair.whole and stream_id != pair.data_id:
            return  # without its error stream a forward goes on; its reason then reaches nobody
        if pair.whole:
            self._events.append(ForwardLost(pair.data_id))
        self._events.append(Answer(b"".join(self._abandon(pair, ""))))

    def _abandon(self, pair: _Pair, reason: str) -> list[Buffer]:
        out = self._end_stream(pair.error_id, reason.encode("utf-8"))
        out += [self._spdy.reset(stream_id) for stream_id in (pair.error_id, pair.data_id)]
        self._forget(pair)
        return [frame for frame in out if len(frame)]

    def _refuse(self, stream_id: int) -> None:
        self._events.append(Answer(self._spdy.reset(stream_id, Reset.REFUSED_STREAM)))

    def _forget(self, pair: _Pair) -> None:
        self._early -= len(pair.early)
        del self._pairs[pair.request_id]
        for stream_id in (pair.data_id, pair.error_id):
            self._by_stream.pop(stream_id, None)

    def _end_stream(self, stream_id: int, data: bytes) -> list[Buffer]:
        """End this side's half, with what the client's window has room for of *data*, a reason."""
        if not self._spdy.can_send(stream_id):
            return []
        return self._spdy.send_data(stream_id, data[: self._spdy.window(stream_id)], end_stream=True)
