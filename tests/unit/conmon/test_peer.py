"""Connections: what is queued, what is dropped, and descriptors that travel."""

from __future__ import annotations

import _socket
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from conmon import peer, protocol
from conmon.peer import MAX_QUEUE, Peer
from conmon.reactor import Reactor


class Side:
    """A peer, the socket at its other end, and what it told its owner."""

    def __init__(self) -> None:
        self.reactor = Reactor(lambda *_: None)
        self.other, own = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.packets: list[tuple[int, bytes]] = []
        self.closed = 0
        self.peer = Peer(self.reactor, own.detach(), self._packet, self._close)

    def _packet(self, _peer: Peer, kind: int, payload: bytes) -> None:
        self.packets.append((kind, payload))

    def _close(self, _peer: Peer) -> None:
        self.closed += 1


@pytest.fixture
def side() -> Iterator[Side]:
    """A connected peer."""
    made = Side()
    yield made
    made.peer.close()
    made.other.close()
    made.reactor.close()


def test_packets_both_ways(side: Side) -> None:
    side.other.send(protocol.encode(protocol.STDIN, b"x"))
    side.reactor.turn(1.0)
    assert side.packets == [(protocol.STDIN, b"x")]
    side.peer.send(protocol.encode(protocol.STDOUT, b"y"))
    assert side.other.recv(100) == protocol.encode(protocol.STDOUT, b"y")


def test_queue_keeps_order_and_flushes(side: Side) -> None:
    packets = [protocol.encode(protocol.STDOUT, b"%04d" % number * 5000) for number in range(60)]
    for packet in packets:
        side.peer.send(packet)
    assert not side.peer.flushed
    got: list[bytes] = []
    while len(got) < len(packets):
        got.append(side.other.recv(protocol.MAX_PACKET))
        side.reactor.turn(0)
    assert got == packets and side.peer.flushed


def test_a_reader_that_is_too_slow_is_dropped_once(side: Side) -> None:
    packet = protocol.encode(protocol.STDOUT, bytes(protocol.MAX_PAYLOAD))
    for _ in range(MAX_QUEUE // len(packet) + 10):
        side.peer.send(packet)
    assert side.peer.closed and side.closed == 1
    side.peer.send(packet)
    side.peer.close()
    assert side.closed == 1


def test_a_paused_peer_is_not_read(side: Side) -> None:
    side.peer.pause(True)
    side.other.send(protocol.encode(protocol.STDIN, b"x"))
    side.reactor.turn(0.01)
    assert side.packets == []
    side.peer.pause(False)
    side.reactor.turn(1.0)
    assert side.packets == [(protocol.STDIN, b"x")]


def test_garbage_is_answered(side: Side) -> None:
    side.other.send(b"\x07?")
    side.reactor.turn(1.0)
    assert b"protocol version 7" in side.other.recv(1000)
    assert not side.peer.closed


def test_end_of_connection(side: Side) -> None:
    side.other.close()
    side.reactor.turn(1.0)
    assert side.peer.closed and side.closed == 1


def test_descriptors_travel_and_are_close_on_exec() -> None:
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    peer.send_fds(one.fileno(), b"note", [reader, writer])
    received: Any = _socket.socket(fileno=two.fileno())
    data, fds = peer.receive_fds(received, 100)
    received.detach()
    assert data == b"note" and len(fds) == 2
    assert not any(os.get_inheritable(fd) for fd in fds)
    os.write(fds[1], b"through")
    assert os.read(reader, 100) == b"through"
    for fd in (reader, writer, *fds):
        os.close(fd)
    one.close()
    two.close()
