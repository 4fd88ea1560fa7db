"""The grace that a stopped container has: it runs out whether or not the caller who gave it still waits.

One stop per container is under way at a time. A caller that gives up does not end it, one that asks again joins it,
and one that gives less time shortens it. What a stop begins and ends with is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from criserver.lifecycle.operations import Operations
from criserver.lifecycle.running.exits import Exits

Step: TypeAlias = Callable[[], Awaitable[None]]


class Stops:
    """The stops under way."""

    def __init__(self, exits: Exits, operations: Operations) -> None:
        self._exits, self._operations = exits, operations
        self._ends: dict[str, float] = {}  # when the grace of each is over, on the loop's clock
        self._waits: dict[str, asyncio.Timeout] = {}

    async def stop(self, container_id: str, seconds: float, ask: Step, kill: Step) -> None:
        """`ask` the container to end, once, and `kill` it when it has not ended within `seconds`; none: at once.

        With a stop under way, `seconds` count if they end before its time does, and its outcome is this one's.
        """
        key = ("StopContainer", container_id)
        end = asyncio.get_running_loop().time() + max(0.0, seconds)
        if not self._operations.running(key):
            self._ends[container_id] = end
        elif end < self._ends.get(container_id, 0.0):
            self._shorten(container_id, end)
        # The grace may be hours: a stop of the server, which leaves containers running, does not wait for it.
        await self._operations.join(key, lambda: self._stop(container_id, seconds, ask, kill), endless=True)

    def _shorten(self, container_id: str, end: float) -> None:
        self._ends[container_id] = end
        wait = self._waits.get(container_id)
        if wait and not wait.expired():
            wait.reschedule(end)

    async def _stop(self, container_id: str, seconds: float, ask: Step, kill: Step) -> None:
        try:
            if seconds <= 0 or not await self._ended(container_id, ask):
                await kill()
        finally:
            del self._ends[container_id]

    async def _ended(self, container_id: str, ask: Step) -> bool:
        """Whether it ended in time."""
        try:
            async with asyncio.timeout_at(self._ends[container_id]) as self._waits[container_id]:
                if self._exits.first_stop(container_id):
                    await ask()
                return await self._exits.wait(container_id, None)
        except TimeoutError:
            return False
        finally:
            del self._waits[container_id]
