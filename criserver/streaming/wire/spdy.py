"""A SPDY/3.1 connection as Kubernetes uses it through moby/spdystream, either side of it.

It knows which frame may follow which, and nothing of what streams mean. What the peer does wrong to one stream resets
that stream; what it does wrong to the connection raises RemoteProtocolError, whose farewell is a GOAWAY, and the
machine stays broken.

Where the peers differ from the draft, the peers are followed: flow control is as asked for (spdystream never sends
WINDOW_UPDATE: keeping its windows would hang every transfer at 64 KiB; see `spdy_flow.Flow`), no pseudo headers are
required, streams that nobody may reply to are refused, and data for a stream that is over is dropped in silence, since
it may have been under way.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

from criserver.streaming.wire import spdy_frames as frames
from criserver.streaming.wire.machine import (
    NEED_DATA,
    Answer,
    Buffer,
    Headers,
    LocalProtocolError,
    NeedData,
    RemoteProtocolError,
)
from criserver.streaming.wire.spdy_events import (
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    PingAnswered,
    SpdyEvent,
    StreamAccepted,
    StreamOpened,
    StreamReset,
    WindowOpened,
)
from criserver.streaming.wire.spdy_flow import SESSION, Flow, FlowControl
from criserver.streaming.wire.spdy_frames import MAX_LENGTH, Flag, GoAwayStatus, Reset, Setting
from criserver.streaming.wire.spdy_headers import HeaderCompressor
from criserver.streaming.wire.spdy_reader import FrameReader, SpdyLimits
from criserver.streaming.wire.spdy_streams import TRANSITIONS, Half, Step, Stream, Streams

_DEFAULT_LIMITS: Final = SpdyLimits()


class Role(Enum):
    """Which side this is; the value is the parity of the ids that it gives to streams and pings."""

    SERVER = 0
    CLIENT = 1


class SpdyConnection:
    """One side of one connection, from the first byte after the HTTP upgrade."""

    def __init__(self, role: Role, *, limits: SpdyLimits = _DEFAULT_LIMITS, flow: Flow = Flow.OFF) -> None:
        self._parity = role.value
        self._limits = limits
        self._reader = FrameReader(limits)
        self._compressor = HeaderCompressor()
        self._flow = None if flow is Flow.OFF else FlowControl(strict=flow is Flow.STRICT)
        self._streams = Streams(self._parity, 1 if role is Role.CLIENT else 2)
        self._events: deque[SpdyEvent] = deque()
        self._next_ping = 1 if role is Role.CLIENT else 2
        self._pings: set[int] = set()
        self._going_away = self._peer_going_away = False
        self._broken: RemoteProtocolError | None = None

    # -- receiving

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; then drain `next_event()`."""
        self._reader.receive_data(data)

    def next_event(self) -> SpdyEvent | NeedData:
        """The next thing the peer did, or NEED_DATA; RemoteProtocolError when the connection is beyond repair."""
        if self._broken is not None:
            raise self._broken
        try:
            while not self._events:
                frame = self._reader.next_frame()
                if frame is NEED_DATA:
                    return NEED_DATA
                if type(frame) is frames.DataPiece:
                    self._on_data(frame)
                else:
                    self._on_control(frame)
        except RemoteProtocolError as exc:
            exc.farewell = frames.go_away(self._streams.last_of_peer, GoAwayStatus.PROTOCOL_ERROR)
            self._broken = exc
            raise
        return self._events.popleft()

    def window(self, stream_id: int) -> int:
        """Bytes that `send_data()` takes on the stream now; without flow control there is no bound but a frame's."""
        return self._flow.sendable(stream_id) if self._flow is not None else MAX_LENGTH

    def can_send(self, stream_id: int) -> bool:
        """Whether this side's half of the stream is open (it is not once reset, ended or forgotten)."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.sending is Half.OPEN

    @property
    def open_streams(self) -> tuple[int, ...]:
        """The ids of the streams not yet over, in the order they were opened."""
        return tuple(self._streams)

    # -- sending

    def open_stream(self, headers: Headers, *, end_stream: bool = False) -> tuple[int, bytes]:
        """Open a stream: its id, and the SYN_STREAM to send before any other stream's."""
        if self._peer_going_away or self._going_away:
            raise LocalProtocolError("a stream cannot be opened once either side said GOAWAY")
        stream_id = self._streams.open_here(fin=end_stream)
        if self._flow is not None:
            self._flow.open(stream_id)
        return stream_id, frames.syn_stream(stream_id, self._compressor.compress(headers), _fin(end_stream))

    def accept(self, stream_id: int, headers: Headers = (), *, end_stream: bool = False) -> bytes:
        """Reply to a stream that the peer opened; spdystream's client waits for this before it sends data."""
        self._sending(stream_id, Step.REPLY_FIN if end_stream else Step.REPLY)
        return frames.syn_reply(stream_id, self._compressor.compress(headers), _fin(end_stream))

    def send_data(self, stream_id: int, data: Buffer, *, end_stream: bool = False) -> list[Buffer]:
        """The buffers to write, in order, `data` among them uncopied; `end_stream` closes this side's half."""
        size = len(data)
        if self._flow is not None and stream_id in self._streams:
            self._flow.sent(stream_id, size)
        self._sending(stream_id, Step.CARRY_FIN if end_stream else Step.CARRY)
        if size <= MAX_LENGTH:
            head = frames.data_head(stream_id, size, end_stream)
            return [head, data] if size else [head]
        view = memoryview(data)
        out: list[Buffer] = []
        for start in range(0, size, MAX_LENGTH):
            piece = view[start : start + MAX_LENGTH]
            out += (frames.data_head(stream_id, len(piece), end_stream and start + len(piece) == size), piece)
        return out

    def reset(self, stream_id: int, status: Reset = Reset.CANCEL) -> bytes:
        """End a stream at once; nothing when it is over already."""
        if stream_id not in self._streams:
            return b""
        self._forget(stream_id)
        return frames.rst_stream(stream_id, status)

    def acknowledge(self, stream_id: int, size: int) -> bytes:
        """`size` received bytes were used, or dropped with their stream: the WINDOW_UPDATEs due, often none."""
        if self._flow is None:
            return b""
        return _updates(self._flow.consumed(stream_id, size))

    def ping(self) -> tuple[int, bytes]:
        """A ping: its id, which comes back in `PingAnswered`, and its bytes."""
        ping_id = self._next_ping
        self._next_ping = ping_id + 2 if ping_id + 2 < 1 << 32 else 2 - self._parity
        self._pings.add(ping_id)
        return ping_id, frames.ping(ping_id)

    def go_away(self, status: GoAwayStatus = GoAwayStatus.OK) -> bytes:
        """Take no more streams; spdystream reads nothing after this, so it must be the last thing written."""
        self._going_away = True
        return frames.go_away(self._streams.last_of_peer, status)

    # -- what each frame does

    def _on_data(self, piece: frames.DataPiece) -> None:
        stream_id, data, first, fin = piece
        size = len(data)
        within = self._flow is None or self._flow.received(stream_id, size)
        if self._flow is not None and (due := self._flow.arrived(size)):
            self._events.append(Answer(_updates(due)))
        stream = self._streams.get(stream_id)
        if stream is None:
            if first:
                self._refuse_unknown(stream_id)
            self._return_credit(stream_id, size)
        elif stream.receiving is not Half.OPEN:
            self._refuse(stream_id, stream)
            self._return_credit(stream_id, size)
        elif not within:
            self._fail_stream(stream_id, Reset.FLOW_CONTROL_ERROR)
            self._return_credit(stream_id, size)
        elif fin:
            self._received(stream_id, Step.CARRY_FIN)
            self._events.append(DataReceived(stream_id, data, True))
        elif size:
            self._events.append(DataReceived(stream_id, data, False))

    def _return_credit(self, stream_id: int, size: int) -> None:
        """Bytes that nobody will read still used the session's window up."""
        update = self.acknowledge(stream_id, size)
        if update:
            self._events.append(Answer(update))

    def _on_control(self, frame: frames.Frame) -> None:
        match frame:
            case frames.SynStream():
                self._on_syn_stream(frame)
            case frames.SynReply():
                self._on_syn_reply(frame)
            case frames.HeadersFrame():
                self._on_headers(frame)
            case frames.RstStream():
                self._on_rst_stream(frame)
            case frames.Settings():
                self._on_settings(frame)
            case frames.Ping():
                self._on_ping(frame)
            case frames.GoAway():
                self._on_go_away(frame)
            case frames.WindowUpdate():
                self._on_window_update(frame)

    def _on_syn_stream(self, frame: frames.SynStream) -> None:
        stream_id = frame.stream_id
        self._streams.seen(stream_id)
        if self._going_away:
            return
        if self._streams.peer_open >= self._limits.max_streams or Flag.UNIDIRECTIONAL in frame.flags:
            self._events.append(Answer(frames.rst_stream(stream_id, Reset.REFUSED_STREAM)))
            return
        fin = Flag.FIN in frame.flags
        self._streams.add_of_peer(stream_id, fin=fin)
        if self._flow is not None:
            self._flow.open(stream_id)
        self._events.append(StreamOpened(stream_id, frame.headers, fin))

    def _on_syn_reply(self, frame: frames.SynReply) -> None:
        fin = Flag.FIN in frame.flags
        if self._received(frame.stream_id, Step.REPLY_FIN if fin else Step.REPLY):
            self._events.append(StreamAccepted(frame.stream_id, frame.headers, fin))

    def _on_headers(self, frame: frames.HeadersFrame) -> None:
        fin = Flag.FIN in frame.flags
        if self._received(frame.stream_id, Step.CARRY_FIN if fin else Step.CARRY):
            self._events.append(HeadersReceived(frame.stream_id, frame.headers, fin))

    def _on_rst_stream(self, frame: frames.RstStream) -> None:
        if frame.stream_id in self._streams:
            self._forget(frame.stream_id)
            self._events.append(StreamReset(frame.stream_id, frame.status))

    def _on_settings(self, frame: frames.Settings) -> None:
        for setting, value in frame.values:
            if setting == Setting.INITIAL_WINDOW_SIZE and self._flow is not None:
                self._flow.resize(value)
                self._events.append(WindowOpened(SESSION))

    def _on_ping(self, frame: frames.Ping) -> None:
        if frame.ping_id % 2 != self._parity:
            self._events.append(Answer(frames.ping(frame.ping_id)))
        elif frame.ping_id in self._pings:
            self._pings.remove(frame.ping_id)
            self._events.append(PingAnswered(frame.ping_id))

    def _on_go_away(self, frame: frames.GoAway) -> None:
        self._peer_going_away = True
        self._events.append(GoAwayReceived(frame.last_stream_id, frame.status))

    def _on_window_update(self, frame: frames.WindowUpdate) -> None:
        if self._flow is None:
            return
        if self._flow.grow(frame.stream_id, frame.delta):
            self._events.append(WindowOpened(frame.stream_id))
        else:
            self._fail_stream(frame.stream_id, Reset.FLOW_CONTROL_ERROR)

    # -- streams

    def _forget_if_done(self, stream_id: int, stream: Stream) -> None:
        if stream.done:
            self._forget(stream_id)

    def _forget(self, stream_id: int) -> None:
        self._streams.forget(stream_id)
        if self._flow is not None:
            self._flow.forget(stream_id)

    def _sending(self, stream_id: int, step: Step) -> None:
        """Move this side's half; LocalProtocolError when it may not do that now."""
        stream = self._streams.get(stream_id)
        half = None if stream is None else TRANSITIONS.get((stream.sending, step))
        if stream is None or half is None:
            state = "over" if stream is None else stream.sending.name
            raise LocalProtocolError(f"stream {stream_id} is {state} for this side; it cannot {step.name}")
        stream.sending = half
        self._forget_if_done(stream_id, stream)

    def _received(self, stream_id: int, step: Step) -> bool:
        """Move the peer's half; False when it may not do that now (the stream is reset then)."""
        stream = self._streams.get(stream_id)
        if stream is None:
            self._refuse_unknown(stream_id)
            return False
        half = TRANSITIONS.get((stream.receiving, step))
        if half is None:
            self._refuse(stream_id, stream)
            return False
        stream.receiving = half
        self._forget_if_done(stream_id, stream)
        return True

    def _refuse_unknown(self, stream_id: int) -> None:
        """Frames for a stream that is over may have been under way; for one that never was, the peer is told."""
        if self._streams.never_opened(stream_id):
            self._events.append(Answer(frames.rst_stream(stream_id, Reset.INVALID_STREAM)))

    def _refuse(self, stream_id: int, stream: Stream) -> None:
        closed = stream.receiving is Half.CLOSED
        self._fail_stream(stream_id, Reset.STREAM_ALREADY_CLOSED if closed else Reset.PROTOCOL_ERROR)

    def _fail_stream(self, stream_id: int, status: Reset) -> None:
        self._events.append(Answer(self.reset(stream_id, status)))
        self._events.append(StreamReset(stream_id, status))


def _updates(due: list[tuple[int, int]]) -> bytes:
    return b"".join(frames.window_update(*update) for update in due)


def _fin(end_stream: bool) -> Flag:
    return Flag.FIN if end_stream else Flag.NONE
