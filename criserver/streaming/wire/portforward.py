"""Port-forward over the wire: its words, whatever carries it.

A forward is one TCP connection into the pod. On SPDY (`portforward_spdy`, also inside a WebSocket, see `tunnel`) the
client opens a pair of streams for each, any number at once; on a channelled WebSocket (`portforward_websocket`) there
is exactly one for each port of the request. Both are a `PortForward`. It must not know sockets or namespaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from criserver.streaming.wire.channels import Encoding
from criserver.streaming.wire.machine import Answer, Buffer, NeedData
from criserver.streaming.wire.tunnel import PREFIX

SPDY_PROTOCOL: Final = "portforward.k8s.io"
"""What X-Stream-Protocol-Version must ask for."""
TUNNEL_PROTOCOL: Final = PREFIX + SPDY_PROTOCOL
"""What Sec-WebSocket-Protocol asks for when SPDY is to be tunnelled."""
WEBSOCKET_PROTOCOLS: Final = {
    "v4.channel.k8s.io": Encoding.BINARY,
    "v4.base64.channel.k8s.io": Encoding.BASE64,
    "": Encoding.BINARY,
}
"""What Sec-WebSocket-Protocol asks for when each port has channels of its own."""
_MAX_PORT = 0xFFFF


@dataclass(frozen=True, slots=True)
class ForwardOpened:
    """Connect to this port in the pod."""

    forward_id: int
    port: int


@dataclass(frozen=True, slots=True)
class ForwardData:
    """Bytes from the client for that connection."""

    forward_id: int
    data: Buffer


@dataclass(frozen=True, slots=True)
class ForwardEnded:
    """The client will send nothing more; the pod may still answer."""

    forward_id: int


@dataclass(frozen=True, slots=True)
class ForwardLost:
    """The client dropped that connection, both directions; its id is not used again."""

    forward_id: int


@dataclass(frozen=True, slots=True)
class ForwardsRoom:
    """The client takes more on one of its connections than `room` said before; which, it says."""


@dataclass(frozen=True, slots=True)
class ForwardsGone:
    """The client ended the whole session."""

    reason: str


PortForwardEvent: TypeAlias = (
    ForwardOpened | ForwardData | ForwardEnded | ForwardLost | ForwardsRoom | ForwardsGone | Answer
)


class PortForward(Protocol):
    """The server's side of one port-forward session; what the methods return is to be written, in order."""

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; then drain `next_event()`."""

    def next_event(self) -> PortForwardEvent | NeedData:
        """The next thing the client did, or NEED_DATA; RemoteProtocolError when it broke the protocol."""

    def room(self, forward_id: int) -> int:
        """Bytes that `send` takes now; after 0, `ForwardsRoom` says when to ask again."""

    def used(self, forward_id: int, size: int) -> list[Buffer]:
        """The pod has taken so many bytes of that connection: the client may send more on it."""

    def send(self, forward_id: int, data: Buffer) -> list[Buffer]:
        """Bytes from the pod, no more than `room`; nothing for a forward that is over."""

    def end(self, forward_id: int) -> list[Buffer]:
        """The pod will send nothing more; the client may."""

    def close(self, forward_id: int, error: str = "") -> list[Buffer]:
        """That connection is over in both directions, with the reason if it failed; its id is not used again."""

    def sweep(self) -> list[Buffer]:
        """Call this every so often: what was half opened at the last call and still is, is refused."""

    def finish(self) -> list[Buffer]:
        """The session is over; close the connection after writing it."""


def parse_port(text: str) -> int | None:
    """A TCP port from 1 to 65535 in decimal, or None."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PORT))):
        return None
    port = int(text)
    return port if 1 <= port <= _MAX_PORT else None
