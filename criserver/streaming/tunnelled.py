"""Port-forward's SPDY inside a WebSocket: a `PortForward` machine made of two."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, NeedData, RemoteProtocolError
from criserver.streaming.wire.portforward import ForwardsGone, PortForwardEvent
from criserver.streaming.wire.portforward_spdy import SpdyPortForward
from criserver.streaming.wire.tunnel import SpdyTunnel, TunnelData
from criserver.streaming.wire.websocket import WebSocketConnection


class TunnelledPortForward:
    """A `PortForward` on a WebSocket that carries SPDY, from the first byte after the upgrade."""

    def __init__(self) -> None:
        self._tunnel = SpdyTunnel(WebSocketConnection())
        self._inner = SpdyPortForward()
        self._events: deque[PortForwardEvent] = deque()

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; then drain `next_event()`."""
        self._tunnel.receive_data(data)

    def next_event(self) -> PortForwardEvent | NeedData:
        """The next thing the client did, or NEED_DATA; RemoteProtocolError when it broke either protocol."""
        while not self._events:
            event = self._inner_event()
            if event is not NEED_DATA:
                return event
            outer = self._tunnel.next_event()
            if outer is NEED_DATA or isinstance(outer, Answer):
                return outer
            if isinstance(outer, TunnelData):
                self._inner.receive_data(outer.data)
            else:
                self._events.append(ForwardsGone(f"the client closed the WebSocket: {outer.code}"))
        return self._events.popleft()

    def room(self, forward_id: int) -> int:
        """Bytes that `send` takes now."""
        return self._inner.room(forward_id)

    def used(self, forward_id: int, size: int) -> list[Buffer]:
        """The pod has taken so many bytes of that connection."""
        return self._wrap(self._inner.used(forward_id, size))

    def send(self, forward_id: int, data: Buffer) -> list[Buffer]:
        """Bytes from the pod, no more than `room`; nothing for a forward that is over."""
        return self._wrap(self._inner.send(forward_id, data))

    def end(self, forward_id: int) -> list[Buffer]:
        """The pod will send nothing more; the client may."""
        return self._wrap(self._inner.end(forward_id))

    def close(self, forward_id: int, error: str = "") -> list[Buffer]:
        """That connection is over in both directions, with the reason if it failed; its id is not used again."""
        return self._wrap(self._inner.close(forward_id, error))

    def sweep(self) -> list[Buffer]:
        """Refuse what was half opened at the last call and still is."""
        return self._wrap(self._inner.sweep())

    def finish(self) -> list[Buffer]:
        """The session is over; close the connection after writing it."""
        return [*self._wrap(self._inner.finish()), self._tunnel.close()]

    def _inner_event(self) -> PortForwardEvent | NeedData:
        try:
            event = self._inner.next_event()
        except RemoteProtocolError as error:
            farewell = self._tunnel.wrap([error.farewell]) + self._tunnel.close()
            raise RemoteProtocolError(str(error), farewell) from error
        return Answer(self._tunnel.wrap([event.data])) if isinstance(event, Answer) else event

    def _wrap(self, data: Sequence[Buffer]) -> list[Buffer]:
        message = self._tunnel.wrap(data)
        return [message] if message else []
