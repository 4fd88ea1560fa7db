"""Port-forward as a session: a `PortForward` machine between the client and any number of connections into a pod."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final

from criserver.errors import CriError
from criserver.lifecycle.running.streams import Forward, StreamService
from criserver.streaming.link import Link
from criserver.streaming.pumps import Feeder, Pressure, Source, shut_input
from criserver.streaming.session import ClientGone, Session
from criserver.streaming.wire.portforward import (
    ForwardData,
    ForwardEnded,
    ForwardLost,
    ForwardOpened,
    ForwardsGone,
    ForwardsRoom,
    PortForward,
    PortForwardEvent,
)

_SWEEP: Final = 30.0
"""Seconds that a half opened pair of streams may stay so, as with the peers."""
_HIGH: Final = 4 << 20
"""What may wait for slow pods before nothing more is read from the client, on any of its connections: for clients
that send without asking for room (kubectl, crictl)."""


class _Connection:
    """One forward: fed from the start, connected a little later."""

    def __init__(self, pressure: Pressure, taken: Callable[[int], None]) -> None:
        self.feeder = Feeder(pressure, shut_input, taken)
        self.source: Source | None = None
        self.connecting: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing can come or go on it any more."""
        return self.source is not None and self.source.done.done() and self.feeder.done.done()

    def close(self) -> None:
        """Drop it."""
        if self.connecting is not None:
            self.connecting.cancel()
        self.feeder.close()
        if self.source is not None:
            self.source.close()


class ForwardSession(Session[PortForwardEvent]):
    """Connections into one pod; each lives and fails alone."""

    def __init__(
        self, link: Link, machine: PortForward, service: StreamService, request: Forward, *, half_close: bool
    ) -> None:
        """`half_close`: whether the client can be told that the pod sends no more, and may go on sending itself."""
        super().__init__(link, machine)
        self._machine, self._service, self._request = machine, service, request
        self._half_close = half_close
        self._pressure = Pressure(link.hold, _HIGH)
        self._connections: dict[int, _Connection] = {}

    async def run(self) -> None:
        """Serve until the client is gone; every connection is closed then."""
        try:
            with contextlib.suppress(ClientGone):
                await self.unless_gone(self._sweep())
        finally:
            self.write(self._machine.finish())
            self._link.finish()
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def on(self, event: PortForwardEvent) -> None:
        """The client did something."""
        if isinstance(event, ForwardOpened):
            self._open(event.forward_id, event.port)
        elif isinstance(event, ForwardsRoom):
            self._resume()
        elif isinstance(event, ForwardsGone):
            self.lost(event.reason)
        elif isinstance(event, (ForwardData, ForwardEnded, ForwardLost)):
            connection = self._connections.get(event.forward_id)
            if connection is None:
                return
            if isinstance(event, ForwardData):
                connection.feeder.feed(event.data)
            elif isinstance(event, ForwardLost):
                self._close(event.forward_id)
            else:
                connection.feeder.end()

    def writable(self, on: bool) -> None:
        """A client that is slow makes the pod wait."""
        if on:
            self._resume()
        else:
            for connection in self._connections.values():
                if connection.source is not None:
                    connection.source.pause()

    def _resume(self) -> None:
        """Read from those pods again for whose bytes there is room."""
        if self._link.congested:
            return
        for forward_id, connection in self._connections.items():
            if connection.source is not None and self._machine.room(forward_id):
                connection.source.resume()

    def _room(self, forward_id: int, connection: _Connection) -> int:
        """What may be read from that pod now; it is paused when that is nothing."""
        room = self._machine.room(forward_id)
        if not room and connection.source is not None:
            connection.source.pause()
        return room

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self.write(self._machine.sweep())

    def _open(self, forward_id: int, port: int) -> None:
        connection = self._connections[forward_id] = _Connection(
            self._pressure, lambda size: self.write(self._machine.used(forward_id, size))
        )
        connection.feeder.done.add_done_callback(lambda _: self._close_if_over(forward_id))
        connection.connecting = asyncio.get_running_loop().create_task(self._connect(forward_id, connection, port))

    async def _connect(self, forward_id: int, connection: _Connection, port: int) -> None:
        try:
            fd = await self._service.connect(self._request.sandbox_id, port)
        except CriError as error:
            self._close(forward_id, str(error))
            return
        connection.connecting = None
        source = connection.source = Source(
            fd,
            lambda data: self.write(self._machine.send(forward_id, data)),
            lambda: self._room(forward_id, connection),
        )
        source.done.add_done_callback(lambda done: self._pod_ended(forward_id, done.result()))
        connection.feeder.open(os.dup(fd))
        self._resume()

    def _pod_ended(self, forward_id: int, reason: str) -> None:
        """The pod sends nothing more, or its connection broke."""
        if forward_id not in self._connections:
            return
        if reason:
            self._close(forward_id, f"the connection into the pod broke: {reason}")
        elif self._half_close:
            self.write(self._machine.end(forward_id))
            self._close_if_over(forward_id)
        else:
            self._close(forward_id)

    def _close_if_over(self, forward_id: int) -> None:
        connection = self._connections.get(forward_id)
        if connection is not None and connection.over:
            self._close(forward_id)

    def _close(self, forward_id: int, error: str = "") -> None:
        connection = self._connections.pop(forward_id)
        connection.connecting = None if error else connection.connecting
        connection.close()
        self.write(self._machine.close(forward_id, error))
