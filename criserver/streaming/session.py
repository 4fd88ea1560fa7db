"""What every session shares: a machine between a link and what it opens, until it is done or its client is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Generic, Protocol, TypeVar

from criserver.streaming.link import Link
from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, NeedData, RemoteProtocolError

log = logging.getLogger(__name__)

T = TypeVar("T")
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Machine(Protocol[E_co]):
    """A wire machine of any session."""

    def receive_data(self, data: bytes) -> None:
        """Add received bytes."""

    def next_event(self) -> E_co | Answer | NeedData:
        """What the client did; RemoteProtocolError when it broke the protocol."""


class ClientGone(Exception):
    """Nobody is there any more for what a session does."""


class Session(Generic[E]):
    """A speaker on a link. Subclasses say what events do (`on`) and what is done meanwhile (`run`)."""

    def __init__(self, link: Link, machine: Machine[E]) -> None:
        self._link, self._events = link, machine
        self._gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """The session, from its first byte until nothing of it is left."""
        raise NotImplementedError

    def on(self, event: E) -> None:
        """The client did something."""
        raise NotImplementedError

    def begin(self, data: bytes) -> None:
        """What the machine says first, and what a hasty client sent behind its request."""
        if data:
            self.received(data)
        else:
            self._drain()

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._gone.done():
            self._events.receive_data(data)
            self._drain()

    def writable(self, on: bool) -> None:
        """Whether the client takes output as fast as it comes."""

    def lost(self, reason: str) -> None:
        """The client is gone."""
        if not self._gone.done():
            self._gone.set_result(reason)

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Send this to the client."""
        self._link.write(buffers)

    async def unless_gone(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns; ClientGone when the client goes first, and then the coroutine is cancelled."""
        work = asyncio.get_running_loop().create_task(coroutine)
        try:
            await asyncio.wait((work, self._gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientGone(self._gone.result())
            return work.result()
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait((work,))
            if not work.cancelled():
                work.exception()

    def _drain(self) -> None:
        try:
            while (event := self._events.next_event()) is not NEED_DATA:
                if isinstance(event, Answer):
                    self.write([event.data])
                else:
                    self.on(event)
        except RemoteProtocolError as error:
            log.info("streaming client broke the protocol: %s", error)
            if error.farewell:
                self.write([error.farewell])
            self._link.finish()
            self.lost(str(error))
