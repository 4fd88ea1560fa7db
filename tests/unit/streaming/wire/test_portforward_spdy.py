from __future__ import annotations

from typing import Any

import pytest

from criserver.streaming.wire.machine import Answer, Buffer
from criserver.streaming.wire.portforward import (
    ForwardEnded,
    ForwardLost,
    ForwardOpened,
    ForwardsGone,
    ForwardsRoom,
    PortForward,
)
from criserver.streaming.wire.portforward_spdy import SpdyPortForward
from criserver.streaming.wire.spdy import Role, SpdyConnection
from criserver.streaming.wire.spdy_events import StreamAccepted, StreamReset
from criserver.streaming.wire.spdy_flow import INITIAL_WINDOW
from criserver.streaming.wire.spdy_frames import Reset, window_update
from tests.unit.streaming.wire.kit import capture, check_cuts, check_garbage, drain, feed, joined, story


class Client:
    """A client on our own SPDY machine, against the session under test."""

    def __init__(self) -> None:
        self.session = SpdyPortForward()
        self.spdy = SpdyConnection(Role.CLIENT)
        self.got: list[Any] = []

    def open(self, stream_type: str, port: str = "80", request_id: str | None = "0") -> tuple[int, list[Any]]:
        headers = (("streamtype", stream_type), ("port", port))
        stream_id, data = self.spdy.open_stream(headers + ((("requestid", request_id),) if request_id else ()))
        return stream_id, self.to_session(data)

    def pair(self, request_id: str = "0") -> tuple[int, int]:
        """The error and data streams of a new forward; the latter's id is the forward's."""
        error_id, _ = self.open("error", request_id=request_id)
        data_id, events = self.open("data", request_id=request_id)
        assert events == [ForwardOpened(data_id, 80)]
        return error_id, data_id

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> list[tuple[Any, ...]]:
        return story(self.to_session(joined(self.spdy.send_data(stream_id, data, end_stream=end))))

    def to_session(self, data: bytes) -> list[Any]:
        events = feed(self.session, data)
        for event in events:
            if isinstance(event, Answer):
                self.got += feed(self.spdy, event.data)
        return [event for event in events if not isinstance(event, Answer)]

    def receive(self, buffers: list[Buffer]) -> list[tuple[Any, ...]]:
        return story(feed(self.spdy, joined(buffers)))

    @property
    def clean(self) -> bool:
        """Nothing is kept of any forward."""
        kept = (self.session._pairs, self.session._by_stream, self.session._spdy.open_streams)
        return not any(kept) and self.session._early == 0


@pytest.fixture
def client() -> Client:
    return Client()


def test_it_is_a_port_forward() -> None:
    session: PortForward = SpdyPortForward()
    assert drain(session) == []


def test_a_connection_lives_and_dies(client: Client) -> None:
    error_id, data_id = client.pair()
    assert client.got == [StreamAccepted(error_id, (), False), StreamAccepted(data_id, (), False)]
    assert client.send(error_id, b"nobody reads this", end=True) == []
    assert client.send(data_id, b"GET", end=True) == [("ForwardData", data_id, b"GET"), ("ForwardEnded", data_id)]
    assert client.receive(client.session.send(data_id, b"200")) == [("DataReceived", data_id, b"200")]
    assert client.receive(client.session.close(data_id)) == [
        ("DataReceived", error_id, "end"),
        ("DataReceived", data_id, "end"),
    ]
    assert client.clean
    assert client.session.close(data_id) == client.session.send(data_id, b"x") == client.session.end(data_id) == []


def test_the_pod_ends_first_and_the_client_goes_on(client: Client) -> None:
    _, data_id = client.pair()
    assert client.receive(client.session.end(data_id)) == [("DataReceived", data_id, "end")]
    assert client.send(data_id, b"more") == [("ForwardData", data_id, b"more")]
    told = client.receive(client.session.close(data_id))
    assert ("StreamReset", data_id, Reset.CANCEL) in told
    assert client.clean


def test_many_forwards_side_by_side_and_one_fails_alone(client: Client) -> None:
    pairs = [client.pair(str(number)) for number in range(50)]
    error_id, data_id = pairs[7]
    assert client.receive(client.session.close(data_id, "connection refused")) == [
        ("DataReceived", error_id, b"connection refused"),
        ("DataReceived", error_id, "end"),
        ("StreamReset", error_id, Reset.CANCEL),
        ("StreamReset", data_id, Reset.CANCEL),
    ]
    for _, other in pairs[:7] + pairs[8:]:
        assert client.send(other, b"x") == [("ForwardData", other, b"x")]
        assert client.receive(client.session.send(other, b"y")) == [("DataReceived", other, b"y")]


def test_a_client_that_drops_a_connection(client: Client) -> None:
    error_id, data_id = client.pair()
    assert client.to_session(client.spdy.reset(data_id)) == [ForwardLost(data_id)]
    assert client.clean
    assert client.got[-1] == StreamReset(error_id, Reset.CANCEL) or not client.spdy.open_streams


def test_a_lost_error_stream_ends_nothing(client: Client) -> None:
    error_id, data_id = client.pair()
    assert client.to_session(client.spdy.reset(error_id)) == []
    assert client.send(data_id, b"x") == [("ForwardData", data_id, b"x")]
    client.receive(client.session.close(data_id, "no use"))
    assert client.clean


def test_clients_without_request_ids(client: Client) -> None:
    error_id, _ = client.open("error", request_id=None)
    data_id, events = client.open("data", request_id=None)
    assert (error_id, data_id) == (1, 3)
    assert events == [ForwardOpened(3, 80)]


def test_data_stream_first_and_data_before_the_pair_is_whole(client: Client) -> None:
    data_id, events = client.open("data")
    assert events == []
    assert client.send(data_id, b"early") == []
    assert client.send(data_id, b" bird", end=True) == []
    _, events = client.open("error")
    assert story(events) == [
        ("ForwardOpened", data_id, 80),
        ("ForwardData", data_id, b"early bird"),
        ("ForwardEnded", data_id),
    ]
    assert client.session._early == 0


def test_early_data_is_bounded(client: Client) -> None:
    opened = [client.open("data", request_id=str(number))[0] for number in range(3)]
    for data_id in opened:
        client.send(data_id, bytes(30_000))
    assert client.got[-1] == StreamReset(opened[-1], Reset.CANCEL)
    assert client.session._early == 60_000


@pytest.mark.parametrize(
    ("stream_type", "port"), [("data", ""), ("data", "0"), ("data", "65536"), ("bogus", "80"), ("", "80")]
)
def test_bad_streams_are_refused(client: Client, stream_type: str, port: str) -> None:
    stream_id, events = client.open(stream_type, port)
    assert events == []
    assert client.got == [StreamReset(stream_id, Reset.REFUSED_STREAM)]
    assert client.clean


def test_a_third_stream_of_a_pair_is_refused(client: Client) -> None:
    _, data_id = client.pair()
    third, events = client.open("data")
    assert events == []
    assert client.got[-1] == StreamReset(third, Reset.REFUSED_STREAM)
    assert client.send(data_id, b"x") == [("ForwardData", data_id, b"x")]


def test_a_request_id_may_be_used_again(client: Client) -> None:
    _, first = client.pair("same")
    client.receive(client.session.close(first))
    _, second = client.pair("same")
    assert second != first


def test_sweep_refuses_what_stays_half_open(client: Client) -> None:
    error_id, _ = client.open("error", request_id="a")
    client.pair("b")
    assert client.session.sweep() == []
    client.open("error", request_id="c")
    assert client.receive(client.session.sweep()) == [
        ("DataReceived", error_id, b"request a: timed out waiting for its other stream"),
        ("DataReceived", error_id, "end"),
        ("StreamReset", error_id, Reset.CANCEL),
    ]
    assert sorted(client.session._pairs) == ["b", "c"]


def test_the_end(client: Client) -> None:
    client.pair()
    assert client.to_session(client.spdy.go_away()) == [ForwardsGone("the client said GOAWAY")]
    told = client.receive(client.session.finish())
    assert [kind[0] for kind in told] == ["StreamReset", "StreamReset", "GoAwayReceived"]


def test_a_forward_that_ended_before_it_was_whole(client: Client) -> None:
    stream_id, data = client.spdy.open_stream((("streamtype", "data"), ("port", "80")), end_stream=True)
    assert client.to_session(data) == []
    error_id, events = client.open("error", request_id=str(stream_id - 2))
    assert events == [ForwardOpened(stream_id, 80), ForwardEnded(stream_id)]
    assert error_id == 3


@pytest.mark.parametrize("name", ["portforward-spdy", "portforward-spdy-refused"])
def test_real_clients(name: str) -> None:
    raw = capture(name)[1]
    told = check_cuts(SpdyPortForward, raw)
    opened = [kind for kind in told if kind[0] == "ForwardOpened"]
    assert [kind[2] for kind in opened] == ([9] if name.endswith("refused") else [80, 80])
    assert told[-1] == ("ForwardsGone", "the client said GOAWAY")
    if not name.endswith("refused"):
        sent = {kind[1]: kind[2] for kind in told if kind[0] == "ForwardData"}
        assert sorted(sent.values()) == [b"a" * 100, b"b" * 100]
    check_garbage(SpdyPortForward, raw)


def test_windows_of_a_client_that_keeps_them() -> None:
    client = Client()
    _, data_id = client.pair()
    assert client.session.room(data_id) > 1 << 20
    update = window_update(0, 1 << 20)
    assert client.to_session(update) == [ForwardsRoom()]
    assert client.session.room(data_id) == INITIAL_WINDOW
    client.session.send(data_id, bytes(INITIAL_WINDOW))
    assert client.session.room(data_id) == 0
    assert client.session.end(data_id)  # an end needs no room
    assert client.to_session(window_update(data_id, 3)) == [ForwardsRoom()]
    assert client.session.room(data_id) == 3


def test_bytes_that_the_pod_has_taken_are_given_back() -> None:
    client = Client()
    _, data_id = client.pair()
    assert client.session.used(data_id, INITIAL_WINDOW // 2 - 1) == []
    assert client.session.used(data_id, 1) == [window_update(data_id, INITIAL_WINDOW // 2)]
    assert client.session.used(data_id + 2, 1 << 20) == []
