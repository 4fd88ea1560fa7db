from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.streaming.wire import spdy_frames as frames
from criserver.streaming.wire.machine import Answer, LocalProtocolError, RemoteProtocolError
from criserver.streaming.wire.spdy import Role, SpdyConnection
from criserver.streaming.wire.spdy_events import (
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    PingAnswered,
    StreamAccepted,
    StreamOpened,
    StreamReset,
    WindowOpened,
)
from criserver.streaming.wire.spdy_flow import INITIAL_WINDOW, Flow
from criserver.streaming.wire.spdy_frames import MAX_LENGTH, Flag, GoAwayStatus, Reset, Setting
from criserver.streaming.wire.spdy_headers import HeaderCompressor
from criserver.streaming.wire.spdy_reader import SpdyLimits
from tests.unit.streaming.wire.kit import capture, check_cuts, check_garbage, feed, feed_cut, joined, story, survives

HEADERS = (("streamtype", "data"),)
CAPTURES = ["exec-spdy-v5", "exec-spdy-v1", "exec-spdy-tty", "portforward-spdy", "portforward-spdy-refused"]


def server() -> SpdyConnection:
    return SpdyConnection(Role.SERVER)


class Pair:
    """A client and a server; what one sends, the other gets, and answers go back at once."""

    def __init__(self, *, flow: Flow = Flow.OFF, limits: SpdyLimits | None = None, size: int = 1 << 20) -> None:
        self.client = SpdyConnection(Role.CLIENT, flow=flow)
        self.server = SpdyConnection(Role.SERVER, flow=flow, limits=limits or SpdyLimits())
        self.size = size

    def to_server(self, data: bytes) -> list[Any]:
        return self._pass(self.server, self.client, data)

    def to_client(self, data: bytes) -> list[Any]:
        return self._pass(self.client, self.server, data)

    def _pass(self, receiver: SpdyConnection, sender: SpdyConnection, data: bytes) -> list[Any]:
        events = feed_cut(receiver, data, self.size)
        for answer in [event for event in events if isinstance(event, Answer)]:
            events += feed(sender, answer.data)
        return [event for event in events if not isinstance(event, Answer)]

    def open(self, *, end_stream: bool = False) -> int:
        stream_id, data = self.client.open_stream(HEADERS, end_stream=end_stream)
        assert self.to_server(data) == [StreamOpened(stream_id, HEADERS, end_stream)]
        assert self.to_client(self.server.accept(stream_id)) == [StreamAccepted(stream_id, (), False)]
        return stream_id


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_a_stream_lives_and_dies(size: int) -> None:
    pair = Pair(size=size)
    stream_id = pair.open()
    sent = joined(pair.client.send_data(stream_id, b"question", end_stream=True))
    assert story(pair.to_server(sent)) == [
        ("DataReceived", stream_id, b"question"),
        ("DataReceived", stream_id, "end"),
    ]
    assert not pair.client.can_send(stream_id)
    assert pair.server.can_send(stream_id)
    answer = joined(pair.server.send_data(stream_id, b"answer")) + joined(
        pair.server.send_data(stream_id, b"", end_stream=True)
    )
    assert story(pair.to_client(answer)) == [("DataReceived", stream_id, b"answer"), ("DataReceived", stream_id, "end")]
    assert (pair.client.open_streams, pair.server.open_streams) == ((), ())


def test_both_sides_open_streams_with_their_own_ids() -> None:
    pair = Pair()
    assert pair.open() == 1
    assert pair.open() == 3
    stream_id, data = pair.server.open_stream(HEADERS)
    assert stream_id == 2
    assert pair.to_client(data) == [StreamOpened(2, HEADERS, False)]


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=300)), max_size=20), st.integers(1, 50))
def test_what_is_sent_arrives(sends: list[tuple[int, bytes]], size: int) -> None:
    pair = Pair(size=size)
    ids = [pair.open() for _ in range(4)]
    sent: dict[int, bytes] = dict.fromkeys(ids, b"")
    got = dict(sent)
    for which, data in sends:
        sent[ids[which]] += data
        for event in pair.to_server(joined(pair.client.send_data(ids[which], data))):
            got[event.stream_id] += event.data
    assert got == sent


def test_data_is_sent_uncopied_and_split_only_when_it_must_be() -> None:
    pair = Pair()
    stream_id = pair.open()
    data = b"x" * 100
    assert pair.client.send_data(stream_id, data)[1] is data
    parts = pair.client.send_data(stream_id, bytes(MAX_LENGTH + 1), end_stream=True)
    assert [len(part) for part in parts] == [8, MAX_LENGTH, 8, 1]
    assert parts[0] == frames.data_head(stream_id, MAX_LENGTH, False)
    assert parts[2] == frames.data_head(stream_id, 1, True)


@pytest.mark.parametrize("name", CAPTURES)
def test_captures_however_they_are_cut(name: str) -> None:
    told = check_cuts(server, capture(name)[1])
    assert told[0][0] == "StreamOpened"
    assert any(kind[0] == "DataReceived" for kind in told) or name.endswith("refused")


@pytest.mark.parametrize("name", CAPTURES)
def test_damaged_captures(name: str) -> None:
    check_garbage(server, capture(name)[1])


def exec_client() -> SpdyConnection:
    """A client that has opened the four streams of an exec and sent a ping."""
    machine = SpdyConnection(Role.CLIENT)
    for stream_type in ("error", "stdin", "stdout", "stderr"):
        machine.open_stream((("streamtype", stream_type),))
    machine.ping()
    return machine


def test_a_real_server_however_it_is_cut() -> None:
    raw = capture("served-exec-spdy-v4")[1]
    told = check_cuts(exec_client, raw)
    assert [kind[:2] for kind in told if kind[0] != "DataReceived"] == [
        *[("StreamAccepted", stream_id) for stream_id in (1, 3, 5, 7)],
        ("PingAnswered", 1),
        *[("StreamReset", stream_id) for stream_id in (1, 3, 5, 7)],
        ("GoAwayReceived", 7),
    ]
    assert {kind[1]: kind[2] for kind in told if kind[0] == "DataReceived" and kind[1] != 1} == {
        5: b"0123456789" * 5,
        7: b"warning",
    }
    check_garbage(exec_client, raw)


@given(st.binary(max_size=200), st.integers(1, 200))
def test_any_bytes_at_all(data: bytes, size: int) -> None:
    error = survives(server(), data, size)
    assert error is None or error.farewell == frames.go_away(0, GoAwayStatus.PROTOCOL_ERROR)


# -- what the peer does wrong to one stream


def test_data_for_a_stream_that_never_was_is_told_once() -> None:
    whole = frames.data_head(5, 4, False) + b"abcd"
    assert feed(server(), whole) == [Answer(frames.rst_stream(5, Reset.INVALID_STREAM))]
    assert feed_cut(server(), whole, 1) == [Answer(frames.rst_stream(5, Reset.INVALID_STREAM))]


def test_reply_and_headers_for_a_stream_that_never_was() -> None:
    compress = HeaderCompressor().compress
    raw = frames.syn_reply(2, compress(()), Flag.NONE) + frames.headers(7, compress(()), Flag.NONE)
    assert feed(server(), raw) == [
        Answer(frames.rst_stream(2, Reset.INVALID_STREAM)),
        Answer(frames.rst_stream(7, Reset.INVALID_STREAM)),
    ]


def test_data_after_the_end_resets_that_stream_alone() -> None:
    pair = Pair()
    first, second = pair.open(), pair.open()
    pair.to_server(joined(pair.client.send_data(first, b"", end_stream=True)))
    late = frames.data_head(first, 1, False) + b"x"
    assert feed(pair.server, late) == [
        Answer(frames.rst_stream(first, Reset.STREAM_ALREADY_CLOSED)),
        StreamReset(first, Reset.STREAM_ALREADY_CLOSED),
    ]
    assert feed(pair.server, late) == []
    assert pair.server.open_streams == (second,)


def test_data_before_the_reply_resets_the_stream() -> None:
    client = SpdyConnection(Role.CLIENT)
    stream_id, _ = client.open_stream(HEADERS)
    assert feed(client, frames.data_head(stream_id, 1, False) + b"x") == [
        Answer(frames.rst_stream(stream_id, Reset.PROTOCOL_ERROR)),
        StreamReset(stream_id, Reset.PROTOCOL_ERROR),
    ]


def test_a_second_reply_resets_the_stream() -> None:
    pair = Pair()
    stream_id = pair.open()
    again = frames.syn_reply(stream_id, HeaderCompressor().compress(()), Flag.NONE)
    with pytest.raises(RemoteProtocolError, match="inflated"):
        feed(pair.client, again)  # a block of another zlib stream: the connection's own state is shared
    client = SpdyConnection(Role.CLIENT)
    stream_id, _ = client.open_stream(HEADERS)
    compress = HeaderCompressor().compress
    assert feed(client, frames.syn_reply(stream_id, compress(()), Flag.NONE)) == [StreamAccepted(stream_id, (), False)]
    assert feed(client, frames.syn_reply(stream_id, compress(()), Flag.NONE)) == [
        Answer(frames.rst_stream(stream_id, Reset.PROTOCOL_ERROR)),
        StreamReset(stream_id, Reset.PROTOCOL_ERROR),
    ]


def test_too_many_streams_are_refused_and_their_headers_still_read() -> None:
    pair = Pair(limits=SpdyLimits(max_streams=1))
    first = pair.open()
    second, data = pair.client.open_stream(HEADERS)
    assert pair.to_server(data) == [StreamReset(second, Reset.REFUSED_STREAM)]
    pair.to_client(pair.server.reset(first))
    assert pair.open() == 5


def test_streams_that_allow_no_reply_are_refused() -> None:
    machine = server()
    one_way = frames.syn_stream(1, HeaderCompressor().compress(()), Flag.UNIDIRECTIONAL)
    assert feed(machine, one_way) == [Answer(frames.rst_stream(1, Reset.REFUSED_STREAM))]
    assert machine.open_streams == ()


def test_headers_on_an_open_stream() -> None:
    machine = server()
    compress = HeaderCompressor().compress
    feed(machine, frames.syn_stream(1, compress(()), Flag.NONE))
    assert feed(machine, frames.headers(1, compress(HEADERS), Flag.FIN)) == [HeadersReceived(1, HEADERS, True)]


# -- what the peer does wrong to the connection


@pytest.mark.parametrize("stream_id", [2, 1])
def test_ids_out_of_order_end_the_connection(stream_id: int) -> None:
    machine = server()
    compress = HeaderCompressor().compress
    feed(machine, frames.syn_stream(1, compress(()), Flag.NONE))
    with pytest.raises(RemoteProtocolError, match="must rise") as caught:
        feed(machine, frames.syn_stream(stream_id, compress(()), Flag.NONE))
    assert caught.value.farewell == frames.go_away(1, GoAwayStatus.PROTOCOL_ERROR)


# -- resets, pings, go-away


def test_reset_ends_both_halves_and_late_data_is_dropped() -> None:
    pair = Pair()
    stream_id = pair.open()
    late = joined(pair.client.send_data(stream_id, b"under way"))
    assert pair.to_client(pair.server.reset(stream_id)) == [StreamReset(stream_id, Reset.CANCEL)]
    assert pair.to_server(late) == []
    assert pair.server.reset(stream_id) == b""
    with pytest.raises(LocalProtocolError, match=f"stream {stream_id} is over for this side; it cannot CARRY"):
        pair.client.send_data(stream_id, b"x")


def test_reset_of_nothing_is_never_answered() -> None:
    assert feed(server(), frames.rst_stream(9, Reset.CANCEL)) == []


def test_pings() -> None:
    pair = Pair()
    ping_id, data = pair.client.ping()
    assert ping_id == 1
    assert feed(pair.server, data) == [Answer(data)]
    assert feed(pair.client, data) == [PingAnswered(1)]
    assert feed(pair.client, data) == []
    assert pair.server.ping()[0] == 2
    assert feed(pair.server, frames.ping(40)) == []


def test_go_away() -> None:
    pair = Pair()
    stream_id = pair.open()
    other, late = pair.client.open_stream(HEADERS)
    assert pair.to_client(pair.server.go_away()) == [GoAwayReceived(stream_id, GoAwayStatus.OK)]
    assert pair.to_server(late) == []
    assert feed(pair.server, frames.data_head(other, 1, False) + b"x") == []
    assert pair.server.open_streams == (stream_id,)
    for side in (pair.client, pair.server):
        with pytest.raises(LocalProtocolError, match="GOAWAY"):
            side.open_stream(HEADERS)
    assert story(pair.to_server(joined(pair.client.send_data(stream_id, b"still")))) == [
        ("DataReceived", stream_id, b"still")
    ]


# -- own mistakes


def test_the_server_must_reply_before_it_sends() -> None:
    pair = Pair()
    stream_id, data = pair.client.open_stream(HEADERS)
    pair.to_server(data)
    assert not pair.server.can_send(stream_id)
    with pytest.raises(LocalProtocolError, match="WAITING"):
        pair.server.send_data(stream_id, b"x")
    pair.server.accept(stream_id)
    with pytest.raises(LocalProtocolError, match="cannot REPLY"):
        pair.server.accept(stream_id)


# -- flow control


def test_without_flow_control_nothing_bounds_and_updates_are_ignored() -> None:
    """spdystream keeps no windows: 1 MiB passes with no WINDOW_UPDATE either way."""
    pair = Pair()
    stream_id = pair.open()
    assert pair.client.window(stream_id) == MAX_LENGTH
    events = pair.to_server(joined(pair.client.send_data(stream_id, bytes(1 << 20))))
    assert sum(len(event.data) for event in events) == 1 << 20
    assert pair.server.acknowledge(stream_id, 1 << 20) == b""
    assert feed(pair.server, frames.window_update(stream_id, 0x7FFFFFFF)) == []
    assert feed(pair.server, frames.settings(((Setting.INITIAL_WINDOW_SIZE, 1),))) == []


def test_with_flow_control_a_transfer_stops_and_goes_on() -> None:
    pair = Pair(flow=Flow.STRICT)
    stream_id = pair.open()
    sent = received = 0
    while sent < 1 << 20:
        window = pair.client.window(stream_id)
        assert window > 0
        for event in pair.to_server(joined(pair.client.send_data(stream_id, bytes(window)))):
            received += len(event.data)
        sent += window
        assert pair.client.window(stream_id) == 0
        with pytest.raises(LocalProtocolError, match="window holds 0"):
            pair.client.send_data(stream_id, b"x")
        assert WindowOpened(0) in pair.to_client(pair.server.acknowledge(stream_id, window))
    assert received == sent


def test_overrunning_a_streams_window_resets_it() -> None:
    """More than the stream's window, within the session's: another stream's bytes were acknowledged."""
    machine = SpdyConnection(Role.SERVER, flow=Flow.STRICT)
    feed(machine, frames.syn_stream(1, HeaderCompressor().compress(()), Flag.NONE))
    half = frames.data_head(1, INITIAL_WINDOW, False) + bytes(INITIAL_WINDOW)
    assert story(feed(machine, half)) == [("DataReceived", 1, bytes(INITIAL_WINDOW))]
    machine.acknowledge(99, INITIAL_WINDOW)
    assert feed(machine, frames.data_head(1, 1, False) + b"x") == [
        Answer(frames.rst_stream(1, Reset.FLOW_CONTROL_ERROR)),
        StreamReset(1, Reset.FLOW_CONTROL_ERROR),
    ]


def test_data_that_nobody_reads_gives_the_session_its_credit_back() -> None:
    machine = SpdyConnection(Role.SERVER, flow=Flow.STRICT)
    stray = frames.data_head(9, INITIAL_WINDOW, False) + bytes(INITIAL_WINDOW)
    for _ in range(4):
        assert feed(machine, stray) == [
            Answer(frames.rst_stream(9, Reset.INVALID_STREAM)),
            Answer(frames.window_update(0, INITIAL_WINDOW)),
        ]


def test_settings_and_overflow() -> None:
    pair = Pair(flow=Flow.STRICT)
    stream_id = pair.open()
    assert pair.to_client(frames.settings(((Setting.INITIAL_WINDOW_SIZE, 10),))) == [WindowOpened(0)]
    assert pair.client.window(stream_id) == 10
    assert pair.to_client(frames.window_update(stream_id, 5)) == [WindowOpened(stream_id)]
    assert pair.client.window(stream_id) == 15
    assert pair.to_client(frames.window_update(stream_id, 0x7FFFFFFF))[0] == StreamReset(
        stream_id, Reset.FLOW_CONTROL_ERROR
    )
    with pytest.raises(RemoteProtocolError, match="session window"):
        pair.to_client(frames.window_update(0, 0x7FFFFFFF))


def test_data_event_is_a_view() -> None:
    pair = Pair()
    stream_id = pair.open()
    raw = joined(pair.client.send_data(stream_id, b"payload"))
    (event,) = feed(pair.server, raw)
    assert isinstance(event, DataReceived)
    assert event.data.obj is raw
