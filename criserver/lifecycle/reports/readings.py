"""Readings that everybody shares: whoever asks within a period gets the same one, and it is taken once.

What a reading is about is a name; how it is taken is the caller's function. Nothing here knows what is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")
FORGET_SECONDS = 600.0  # a name nobody has asked for since is dropped


@dataclass(frozen=True, slots=True)
class Reading(Generic[V]):
    """The newest reading of a name, and the one before it: rates need two."""

    value: V
    before: V | None
    read: float


class Readings(Generic[V]):
    """Readings by name, each at most once in `period` seconds."""

    def __init__(self, period: float, read: Callable[[Collection[str]], Awaitable[Mapping[str, V]]]) -> None:
        """`read` answers for names, leaving out those that it cannot read."""
        self._period, self._read = period, read
        self._taken: dict[str, Reading[V]] = {}
        self._lock = asyncio.Lock()

    async def get(self, names: Collection[str]) -> Mapping[str, Reading[V]]:
        """The readings of these names, taken now where there is none young enough. What cannot be read is missing."""
        async with self._lock:  # Whoever comes meanwhile waits for this round and then finds it done.
            now = asyncio.get_running_loop().time()
            due = [name for name in names if not self._fresh(name, now)]
            if due:
                self._keep(due, await self._read(due), now)
            return {name: self._taken[name] for name in names if name in self._taken}

    def _fresh(self, name: str, now: float) -> bool:
        taken = self._taken.get(name)
        return taken is not None and now - taken.read < self._period

    def _keep(self, due: Collection[str], values: Mapping[str, V], now: float) -> None:
        for name in due:
            before = self._taken.pop(name, None)
            if name in values:
                self._taken[name] = Reading(values[name], before.value if before else None, now)
        # New ones come last, so the oldest are first.
        while self._taken and now - (oldest := next(iter(self._taken.items())))[1].read > FORGET_SECONDS:
            del self._taken[oldest[0]]
