from __future__ import annotations

import json
from typing import Any

import pytest

from criserver.streaming.wire import spdy_frames as frames
from criserver.streaming.wire.machine import Answer, Buffer
from criserver.streaming.wire.remotecommand import (
    OutputRefused,
    PeerGone,
    RemoteCommand,
    Resized,
    Status,
    StdinClosed,
    StdinReceived,
    StreamOptions,
    StreamsReady,
    StreamType,
    TerminalSize,
    Version,
)
from criserver.streaming.wire.remotecommand_spdy import SpdyRemoteCommand
from criserver.streaming.wire.spdy import Role, SpdyConnection
from criserver.streaming.wire.spdy_events import GoAwayReceived, StreamAccepted, StreamReset
from criserver.streaming.wire.spdy_frames import Reset
from tests.unit.streaming.wire.kit import capture, check_cuts, check_garbage, feed, joined, story

ALL = StreamOptions(stdin=True, stdout=True, stderr=True, tty=False)
TTY = StreamOptions(stdin=True, stdout=True, stderr=False, tty=True)
TYPED = b"0123456789abcdef0123456789"


class Client:
    """A client on our own SPDY machine, against the session under test."""

    def __init__(self, session: SpdyRemoteCommand) -> None:
        self.session = session
        self.spdy = SpdyConnection(Role.CLIENT)
        self.ids: dict[str, int] = {}
        self.got: list[Any] = []

    def open(self, *types: str) -> list[Any]:
        events: list[Any] = []
        for stream_type in types:
            self.ids[stream_type], data = self.spdy.open_stream((("streamtype", stream_type),))
            events += self.to_session(data)
        return events

    def send(self, stream_type: str, data: bytes, *, end: bool = False) -> list[Any]:
        return self.to_session(joined(self.spdy.send_data(self.ids[stream_type], data, end_stream=end)))

    def to_session(self, data: bytes) -> list[Any]:
        events = feed(self.session, data)
        for event in events:
            if isinstance(event, Answer):
                self.got += feed(self.spdy, event.data)
        return [event for event in events if not isinstance(event, Answer)]

    def receive(self, buffers: list[Buffer]) -> list[tuple[Any, ...]]:
        return story(feed(self.spdy, joined(buffers)))


@pytest.fixture
def client() -> Client:
    return Client(SpdyRemoteCommand(Version.V4, ALL))


def test_it_is_a_remote_command() -> None:
    session: RemoteCommand = SpdyRemoteCommand(Version.V4, ALL)
    assert session.missing == {StreamType.ERROR, StreamType.STDIN, StreamType.STDOUT, StreamType.STDERR}


def test_ready_once_every_stream_is_there(client: Client) -> None:
    assert client.open("error", "stdin", "stdout") == []
    assert client.session.missing == {StreamType.STDERR}
    assert client.open("stderr") == [StreamsReady()]
    assert client.got == [StreamAccepted(stream_id, (), False) for stream_id in (1, 3, 5, 7)]


def test_stdin_and_its_end(client: Client) -> None:
    client.open("error", "stdin", "stdout", "stderr")
    assert story(client.send("stdin", b"abc", end=True)) == [("StdinReceived", b"abc"), ("StdinClosed",)]


def test_output_and_exit_code(client: Client) -> None:
    client.open("error", "stdin", "stdout", "stderr")
    out, err, error, stdin = (client.ids[name] for name in ("stdout", "stderr", "error", "stdin"))
    session = client.session
    assert client.receive(session.send_output(StreamType.STDOUT, b"out")) == [("DataReceived", out, b"out")]
    assert client.receive(session.send_output(StreamType.STDERR, b"err")) == [("DataReceived", err, b"err")]
    assert session.send_output(StreamType.STDOUT, b"") == []
    assert client.receive(session.close_output(StreamType.STDERR)) == [("DataReceived", err, "end")]
    assert session.send_output(StreamType.STDERR, b"late") == []
    told = client.receive(session.finish(Status(3)))
    status = Status(3).encode(Version.V4)
    assert told == [
        ("DataReceived", out, "end"),
        ("DataReceived", error, status),
        ("DataReceived", error, "end"),
        *[("StreamReset", stream_id, Reset.CANCEL) for stream_id in (error, stdin, out, err)],
        ("GoAwayReceived", err, 0),
    ]
    assert json.loads(status)["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


def test_unknown_and_second_streams_are_refused(client: Client) -> None:
    assert client.open("error", "bogus") == []
    first = client.ids["error"]
    assert client.open("error") == []
    assert client.got == [
        StreamAccepted(first, (), False),
        StreamReset(client.ids["bogus"], Reset.REFUSED_STREAM),
        StreamReset(client.ids["error"], Reset.REFUSED_STREAM),
    ]


def test_what_was_not_asked_for_goes_nowhere() -> None:
    client = Client(SpdyRemoteCommand(Version.V4, StreamOptions(stdin=False, stdout=True, stderr=False, tty=False)))
    assert client.open("error", "stdin", "stdout") == [StreamsReady()]
    assert client.send("stdin", b"unasked", end=True) == []
    assert client.session.send_output(StreamType.STDERR, b"unasked") == []


def test_resizes() -> None:
    client = Client(SpdyRemoteCommand(Version.V4, TTY))
    assert client.open("error", "stdin", "stdout", "resize") == [StreamsReady()]
    assert client.send("resize", b'{"Width":80,"He') == []
    assert client.send("resize", b'ight":24}') == [Resized(TerminalSize(80, 24))]


def test_resets_by_the_client(client: Client) -> None:
    client.open("error", "stdin", "stdout", "stderr")
    assert client.to_session(client.spdy.reset(client.ids["stdout"])) == [OutputRefused(StreamType.STDOUT)]
    assert client.session.send_output(StreamType.STDOUT, b"x") == []
    assert client.to_session(client.spdy.reset(client.ids["stdin"])) == [StdinClosed()]
    assert client.to_session(client.spdy.go_away()) == [PeerGone("the client said GOAWAY")]
    told = feed(client.spdy, joined(client.session.finish(Status(0))))
    assert GoAwayReceived(7, 0) in told


def test_stdin_that_ends_as_it_opens(client: Client) -> None:
    _, data = client.spdy.open_stream((("streamtype", "stdin"),), end_stream=True)
    assert client.to_session(data) == [StdinClosed()]


def test_pings_are_answered(client: Client) -> None:
    ping_id, data = client.spdy.ping()
    assert client.to_session(data) == []
    assert [event.ping_id for event in client.got] == [ping_id]


@pytest.mark.parametrize(
    ("name", "version", "options", "expected"),
    [
        ("exec-spdy-v5", Version.V5, ALL, [("StreamsReady",), ("StdinReceived", TYPED), ("StdinClosed",)]),
        ("exec-spdy-v4", Version.V4, ALL, [("StreamsReady",), ("StdinReceived", TYPED), ("StdinClosed",)]),
        (
            "exec-spdy-v1",  # its stdin is only ended by the reset at its end
            Version.V1,
            ALL,
            [
                ("StreamsReady",),
                ("StdinReceived", TYPED),
                ("OutputRefused", StreamType.STDERR),
                ("OutputRefused", StreamType.STDOUT),
                ("StdinClosed",),
                ("PeerGone", "the client said GOAWAY"),
            ],
        ),
        (
            "exec-spdy-tty",
            Version.V5,
            TTY,
            [
                ("StreamsReady",),
                ("Resized", TerminalSize(80, 24)),
                ("Resized", TerminalSize(81, 24)),
                ("StdinReceived", TYPED),
                ("StdinClosed",),
            ],
        ),
    ],
)
def test_real_clients(name: str, version: Version, options: StreamOptions, expected: list[tuple[Any, ...]]) -> None:
    def make() -> SpdyRemoteCommand:
        return SpdyRemoteCommand(version, options)

    raw = capture(name)[1]
    told = [kind for kind in check_cuts(make, raw) if kind[0] != "Answer"]
    assert told == expected
    check_garbage(make, raw)


def test_stdin_is_not_copied(client: Client) -> None:
    client.open("error", "stdin", "stdout", "stderr")
    raw = frames.data_head(client.ids["stdin"], 4, False) + b"data"
    (event,) = feed(client.session, raw)
    assert isinstance(event, StdinReceived)
    assert isinstance(event.data, memoryview)
    assert event.data.obj is raw
