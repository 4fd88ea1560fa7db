"""Two things asyncio lacks: finishing in spite of cancellation, and a gate between attachments and garbage collection.

Nothing here knows of plugins or files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` until it is done even when the caller is cancelled meanwhile; the cancellation is raised afterwards.

    For undo and reaping, whose own time is bounded.
    """
    task = asyncio.get_running_loop().create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen, so that asyncio does not complain of it
        raise cancelled
    return task.result()


class Gate:
    """Who may work on a network at one time (spec, "Lifecycle & Ordering").

    One operation per container; any number of containers; garbage collection alone. Collection that waits goes first,
    so that a busy node cannot put it off for ever. All networks of a host share one gate.
    """

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._collecting = False
        self._collectors_waiting = 0
        self._waiters: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def container(self, container_id: str) -> AsyncIterator[None]:
        """Hold the container `container_id`: wait for its other operation and for collection."""
        await self._until(
            lambda: not self._collecting and not self._collectors_waiting and container_id not in self._busy
        )
        self._busy.add(container_id)
        try:
            yield
        finally:
            self._busy.remove(container_id)
            self._wake()

    @asynccontextmanager
    async def collection(self) -> AsyncIterator[None]:
        """Hold everything: wait for all operations under way."""
        self._collectors_waiting += 1
        try:
            await self._until(lambda: not self._collecting and not self._busy)
            self._collecting = True
        finally:
            self._collectors_waiting -= 1
            self._wake()
        try:
            yield
        finally:
            self._collecting = False
            self._wake()

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
