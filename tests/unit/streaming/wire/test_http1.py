from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.streaming.wire.http1 import MAX_HEAD, HttpConnection, RequestReceived
from criserver.streaming.wire.machine import NEED_DATA, LocalProtocolError, RemoteProtocolError
from tests.unit.streaming.wire.kit import CAPTURES, capture, check_garbage, cut, survives

GET = b"GET /exec/abc?x=1 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
NAMES = sorted(path.stem for path in CAPTURES.glob("*.hex") if not path.stem.startswith("served-"))


def request(connection: HttpConnection, data: bytes, size: int = 1 << 20) -> RequestReceived:
    """The request, fed until it is whole and then no further."""
    pieces = list(cut(data, size))
    while pieces:
        connection.receive_data(pieces.pop(0))
        event = connection.next_event()
        if isinstance(event, RequestReceived):
            for piece in pieces:
                connection.receive_data(piece)
            return event
    raise AssertionError("no request")


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_request_and_what_comes_behind_it(size: int) -> None:
    connection = HttpConnection()
    event = request(connection, GET + b"\x80\x03hasty", size)
    assert (event.method, event.target, event.header("host")) == ("GET", "/exec/abc?x=1", "h")
    assert event.tokens("connection") == ("keep-alive", "Upgrade")
    assert event.header("cookie") is None
    assert connection.next_event() is NEED_DATA
    answer = connection.upgrade((("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Upgrade: SPDY/3.1\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert connection.trailing_data == b"\x80\x03hasty"


@pytest.mark.parametrize("name", NAMES)
def test_heads_of_real_clients(name: str) -> None:
    head, _ = capture(name)
    whole, byte_by_byte = HttpConnection(), HttpConnection()
    event = request(whole, head)
    assert request(byte_by_byte, head, 1) == event
    assert event.method == ("GET" if "websocket" in name or "tunnel" in name else "POST")


def test_a_body_is_read_past() -> None:
    connection = HttpConnection()
    post = b"POST / HTTP/1.1\r\nHost: h\r\nUpgrade: SPDY/3.1\r\nConnection: upgrade\r\nContent-Length: 3\r\n\r\nabcREST"
    assert request(connection, post).method == "POST"
    connection.upgrade((("Upgrade", "SPDY/3.1"),))
    assert connection.trailing_data == b"REST"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_refusal(method: str) -> None:
    connection = HttpConnection()
    request(connection, GET.replace(b"GET", method.encode()))
    head, _, body = connection.refuse(403, "no: ü\n", (("X-Why", "because"),)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ")
    assert b"X-Why: because" in head
    assert b"content-length: 7" in head.lower()
    assert b"connection: close" in head.lower()
    assert body == (b"" if method == "HEAD" else "no: ü\n".encode())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x80\x03\x00\x01 not HTTP\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"GET /" + b"a" * MAX_HEAD, b"431"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000), b"413"),
    ],
)
def test_hostile_requests_get_an_answer(data: bytes, status: bytes) -> None:
    connection = HttpConnection()
    connection.receive_data(data)
    with pytest.raises(RemoteProtocolError) as caught:
        connection.next_event()
    assert caught.value.farewell.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in caught.value.farewell.lower()
    with pytest.raises(RemoteProtocolError, match="HTTP request"):
        connection.next_event()


def test_a_second_request_is_never_read() -> None:
    connection = HttpConnection()
    plain = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    request(connection, plain)
    connection.receive_data(plain)
    assert connection.next_event() is NEED_DATA
    assert connection.refuse(400, "").startswith(b"HTTP/1.1 400 ")


def test_early_end() -> None:
    connection = HttpConnection()
    assert connection.next_event() is NEED_DATA
    connection.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match="before its request was whole") as caught:
        connection.next_event()
    assert caught.value.farewell == b""
    with pytest.raises(LocalProtocolError, match="after the end"):
        connection.receive_data(b"x")


def test_own_mistakes() -> None:
    connection = HttpConnection()
    with pytest.raises(LocalProtocolError, match="upgrade"):
        connection.upgrade(())
    done = HttpConnection()
    request(done, GET)
    done.refuse(404, "")
    with pytest.raises(LocalProtocolError, match="404"):
        done.refuse(404, "")


def test_damaged_heads() -> None:
    check_garbage(HttpConnection, b"GET /" + b"a" * 100 + GET[5:])


@given(st.binary(max_size=200), st.integers(1, 200))
def test_any_bytes_at_all(data: bytes, size: int) -> None:
    survives(HttpConnection(), data, size)
