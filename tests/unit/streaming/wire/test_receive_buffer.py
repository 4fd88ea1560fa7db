from __future__ import annotations

from criserver.streaming.wire.receive_buffer import ReceiveBuffer


def test_take_is_a_view_of_the_chunk() -> None:
    buffer = ReceiveBuffer()
    chunk = b"abcdef"
    buffer.feed(chunk)
    taken = buffer.take(4)
    assert isinstance(taken, memoryview)
    assert taken.obj is chunk
    assert bytes(buffer.take_some(10)) == b"ef"


def test_take_waits_for_what_is_torn() -> None:
    buffer = ReceiveBuffer()
    for byte in b"abc":
        buffer.feed(bytes((byte,)))
        assert buffer.take(4) is None
    buffer.feed(b"def")
    assert buffer.take(4) == b"abcd"
    assert bytes(buffer.take_some(1)) == b"e"
    assert buffer.take(2) is None
    buffer.feed(b"g")
    assert buffer.take(2) == b"fg"


def test_feed_before_all_is_read_keeps_the_order() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"abc")
    assert bytes(buffer.take_some(1)) == b"a"
    buffer.feed(b"de")
    assert buffer.take(4) == b"bcde"


def test_nothing_is_held_but_what_was_asked_for() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"abc")
    assert buffer.take(8) is None
    assert not buffer.take_some(5)


def test_take_nothing() -> None:
    assert ReceiveBuffer().take(0) == b""
