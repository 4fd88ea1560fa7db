"""Attached clients of one container: output to all of them, their input to the container's stdin.

Until the first client attaches, the output of a container with stdin is kept in a bounded ring and replayed once, so
that an interactive session loses nothing of what was printed before it got through. Knows peers and stdin, not the
log.
"""

from __future__ import annotations

from conmon import protocol
from conmon.peer import Peer
from conmon.requests import AttachRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conmon.stdio import Input

#: Bytes of early output that are kept; the oldest go first.
REPLAY = 256 * 1024


class Hub:
    """The attach side of a monitor."""

    def __init__(self, replay: bool, stdin_once: bool) -> None:
        """*replay*: keep output for the first client. *stdin_once*: the first client with stdin ends it by leaving."""
        self.stdin: Input | None = None
        self._stdin_once = stdin_once
        self._early: list[tuple[int, bytes]] | None = [] if replay else None
        self._early_bytes = 0
        self._clients: dict[Peer, AttachRequest] = {}

    def publish(self, kind: int, data: bytes) -> None:
        """Show output to every client that asked for this *kind*."""
        if self._clients:
            for packet in protocol.stream_packets(kind, data):
                for peer, wants in list(self._clients.items()):
                    if wants.stdout if kind == protocol.STDOUT else wants.stderr:
                        peer.send(packet)
        elif self._early is not None:
            self._keep(kind, data)

    def attach(self, peer: Peer, wants: AttachRequest) -> None:
        """Make *peer* a client; the first one is shown the early output."""
        self._clients[peer] = wants
        early, self._early = self._early, None
        for kind, data in early or ():
            if wants.stdout if kind == protocol.STDOUT else wants.stderr:
                for packet in protocol.stream_packets(kind, data):
                    peer.send(packet)

    def receive(self, peer: Peer, kind: int, data: bytes) -> None:
        """A STDIN or STDIN_EOF packet of *peer*; ignored from a client that did not ask for stdin."""
        wants = self._clients.get(peer)
        if wants is None or not wants.stdin or self.stdin is None:
            return
        if kind == protocol.STDIN:
            self.stdin.write(data)
            peer.pause(self.stdin.full)
        elif kind == protocol.STDIN_EOF and self._stdin_once:
            self.stdin.end()

    def detach(self, peer: Peer) -> None:
        """*peer* has gone; fine for one that never attached."""
        wants = self._clients.pop(peer, None)
        if wants and wants.stdin and self._stdin_once and self.stdin:
            self.stdin.end()

    def resume(self) -> None:
        """stdin has room again: read from the clients that had to wait."""
        for peer in list(self._clients):
            peer.pause(False)

    def _keep(self, kind: int, data: bytes) -> None:
        assert self._early is not None
        data = data[-REPLAY:]
        self._early.append((kind, data))
        self._early_bytes += len(data)
        while self._early_bytes > REPLAY:
            self._early_bytes -= len(self._early.pop(0)[1])
