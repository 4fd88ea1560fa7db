"""Packets: whole, cut at every byte, as garbage; one invariant: a packet is understood, or ProtocolError is raised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conmon import protocol
from conmon.protocol import ProtocolError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.integers(0, 255), st.binary(max_size=2000))
def test_what_is_encoded_is_decoded(kind: int, payload: bytes) -> None:
    assert protocol.decode(protocol.encode(kind, payload)) == (kind, payload)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5))
def test_messages_come_through(message: dict[str, object]) -> None:
    kind, payload = protocol.decode(protocol.encode_message(protocol.REQUEST, message))
    assert (kind, protocol.decode_message(payload)) == (protocol.REQUEST, message)


def test_a_packet_cut_at_any_byte_is_refused_or_shorter() -> None:
    packet = protocol.encode_message(protocol.REPLY, {"seq": 1, "pid": 2})
    for length in range(len(packet)):
        try:
            _, payload = protocol.decode(packet[:length])
            protocol.decode_message(payload)
        except ProtocolError:
            continue
        raise AssertionError(f"cut at {length} went unnoticed")


@given(st.binary(max_size=300))
def test_garbage_is_understood_or_refused(garbage: bytes) -> None:
    try:
        _, payload = protocol.decode(garbage)
        assert isinstance(protocol.decode_message(payload), dict)
    except ProtocolError:
        pass


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        protocol.decode_message(b"[" * 60000)


def test_foreign_version_is_named() -> None:
    with pytest.raises(ProtocolError, match="version 9, this side speaks 1"):
        protocol.decode(b"\x09\x01{}")


def test_bounds() -> None:
    assert len(protocol.encode(protocol.STDOUT, bytes(protocol.MAX_PAYLOAD))) == protocol.MAX_PACKET
    with pytest.raises(ProtocolError, match="at most"):
        protocol.encode(protocol.STDOUT, bytes(protocol.MAX_PAYLOAD + 1))
    with pytest.raises(ProtocolError, match="longer than"):
        protocol.decode(bytes(protocol.MAX_PACKET + 1))


@pytest.mark.parametrize("size", [0, 1, protocol.MAX_PAYLOAD, protocol.MAX_PAYLOAD + 1, 3 * protocol.MAX_PAYLOAD + 7])
def test_stream_packets_hold_the_stream(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    parts = [protocol.decode(packet) for packet in protocol.stream_packets(protocol.STDERR, data[:size])]
    assert b"".join(part for _, part in parts) == data[:size]
    assert all(kind == protocol.STDERR and part for kind, part in parts)


def test_hello() -> None:
    kind, payload = protocol.decode(protocol.hello("zygote", 5))
    message = protocol.decode_message(payload)
    assert kind == protocol.EVENT
    assert message == {"event": "hello", "major": 1, "minor": 0, "role": "zygote", "pid": 5}


def test_kinds_and_version_are_fixed() -> None:
    """A daemon of another version relies on them."""
    kinds = (protocol.REQUEST, protocol.REPLY, protocol.EVENT, protocol.CONTAINER)
    streams = (protocol.STDIN, protocol.STDOUT, protocol.STDERR, protocol.STDIN_EOF)
    assert (kinds, streams, protocol.MAJOR) == ((1, 2, 3, 4), (16, 17, 18, 19), 1)
