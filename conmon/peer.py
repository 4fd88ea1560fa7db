"""One accepted connection of a zygote, monitor or exec session: packets out without ever blocking, packets in on
demand.

Owns its descriptor. What cannot be sent at once waits in a bounded queue; a peer whose queue is full is dropped, so
that a slow reader never holds a container. Knows packets, not what they say.

Works on bare descriptors (read(2) and write(2) keep a SEQPACKET's borders) and on ``_socket``, the C half of
``socket``: the other half brings enumerations and selectors into the memory of every monitor.
"""

from __future__ import annotations

import _socket
import os
import sys

from conmon import protocol
from conmon.reactor import IN, OUT, Reactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes that may wait for a slow reader before it is dropped.
MAX_QUEUE = 8 * 1024 * 1024
BACKLOG = 128


def listen(directory_fd: int, name: str, kind: int = _socket.SOCK_SEQPACKET) -> _socket.socket:
    """A listening socket *name* in an open directory; through /proc, since sun_path holds 107 bytes only."""
    sock = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        sock.bind(f"/proc/self/fd/{directory_fd}/{name}")
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def send_fds(fd: int, packet: bytes, fds: list[int]) -> None:
    """Send *packet* with descriptors over the socket *fd*. Raises OSError."""
    rights = b"".join(number.to_bytes(4, sys.byteorder) for number in fds)
    sock = _socket.socket(fileno=fd)
    try:
        sock.sendmsg([packet], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    finally:
        sock.detach()


def receive_fds(sock: _socket.socket, size: int, most: int = 4) -> tuple[bytes, list[int]]:
    """One packet of at most *size* bytes and its descriptors, all close-on-exec and owned by the caller. Raises
    OSError.

    ``socket.recv_fds`` does the same.
    """
    data, ancillary, _, _ = sock.recvmsg(size, _socket.CMSG_SPACE(4 * most), _socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, raw in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += [int.from_bytes(raw[at : at + 4], sys.byteorder) for at in range(0, len(raw) // 4 * 4, 4)]
    return data, fds


def accept(listener: _socket.socket) -> int:
    """The descriptor of the next connection, close-on-exec. Raises OSError."""
    fd: int = listener._accept()[0]  # type: ignore[attr-defined]  # noqa: SLF001 - accept(2), bare
    return fd


class Peer:
    """A connection that calls *on_packet*(peer, kind, payload) for each packet and *on_close*(peer) once at its end."""

    def __init__(
        self,
        reactor: Reactor,
        fd: int,
        on_packet: Callable[[Peer, int, bytes], None],
        on_close: Callable[[Peer], None],
        linger: bool = False,
    ) -> None:
        """*linger*: at the end leave the descriptor open, so that the other side sees the end of this process."""
        os.set_blocking(fd, False)
        self._reactor, self._fd = reactor, fd
        self._on_packet, self._on_close = on_packet, on_close
        self._queue: list[bytes] = []
        self._queued = 0
        self._paused = False
        self._linger = linger
        self.closed = False
        self._watch()

    @property
    def flushed(self) -> bool:
        """Nothing waits to be sent."""
        return not self._queue

    def send(self, packet: bytes) -> None:
        """Send *packet* now or when the reader has room; drops the connection when too much waits."""
        if self.closed:
            return
        if not self._queue and self._send(packet):
            return
        if self.closed:
            return
        if self._queued + len(packet) > MAX_QUEUE:
            self.close()
            return
        self._queue.append(packet)
        self._queued += len(packet)
        self._watch()

    def send_with_fd(self, packet: bytes, fd: int) -> None:
        """Send *packet* and *fd* now. Raises OSError when the reader has no room, which a fresh connection has."""
        send_fds(self._fd, packet, [fd])

    def pause(self, paused: bool) -> None:
        """Read no further packets (the sender then blocks) or read on."""
        if paused != self._paused and not self.closed:
            self._paused = paused
            self._watch()

    def close(self) -> None:
        """Close the connection and tell the owner; what was sent stays readable for the other side."""
        if not self.closed:
            self.closed = True
            self._queue.clear()
            self._reactor.forget(self._fd)
            if not self._linger:
                os.close(self._fd)
            self._on_close(self)

    def _watch(self) -> None:
        events = (0 if self._paused else IN) | (OUT if self._queue else 0)
        self._reactor.watch(self._fd, events, self._ready)

    def _ready(self, events: int) -> None:
        if events & OUT and self._queue:
            self._drain()
        if events & ~OUT and not self.closed:
            self._receive()

    def _drain(self) -> None:
        sent = 0
        for packet in self._queue:
            if not self._send(packet):
                break
            sent += 1
            self._queued -= len(packet)
        if not self.closed:
            del self._queue[:sent]
            if not self._queue:
                self._watch()

    def _send(self, packet: bytes) -> bool:
        try:
            os.write(self._fd, packet)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        return True

    def _receive(self) -> None:
        try:
            packet = os.read(self._fd, protocol.MAX_PACKET + 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet:
            self.receive(packet)
        else:
            self.close()

    def receive(self, packet: bytes) -> None:
        """Take *packet* as read from this connection."""
        try:
            kind, payload = protocol.decode(packet)
        except protocol.ProtocolError as error:
            self.send(protocol.encode_message(protocol.REPLY, {"seq": 0, "error": str(error)}))
            return
        self._on_packet(self, kind, payload)
