"""Layers of which nobody knows, after a power loss, whether they are what they were: who needs one waits for a look.

Those that somebody waits for are looked at first. Who looks is not known here (lifecycle/images/check).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable


class Doubts:
    """The layers in doubt, by their numbers; none, unless `begin` is called."""

    def __init__(self) -> None:
        self._layers: dict[int, asyncio.Event] = {}
        self._wanted: set[int] = set()
        self._seen: set[int] = set()

    def begin(self, numbers: Iterable[int]) -> None:
        """They are in doubt from now on."""
        self._layers = {number: asyncio.Event() for number in numbers}

    def about(self, numbers: Collection[int]) -> bool:
        """Whether any of them is in doubt."""
        return not self._layers.keys().isdisjoint(numbers)

    def next(self) -> int | None:
        """One that is to be looked at now, each once; None when there are no more."""
        left = self._layers.keys() - self._seen
        number = min(left & self._wanted or left, default=None)
        if number is not None:
            self._seen.add(number)
        return number

    def settle(self, number: int) -> None:
        """It is what it was."""
        if event := self._layers.pop(number, None):
            event.set()

    def end(self) -> None:
        """What was in doubt still is mended, or gone, or there is no way to tell."""
        for number in tuple(self._layers):
            self.settle(number)

    async def settled(self, numbers: Iterable[int]) -> None:
        """Wait until none of them is in doubt any more."""
        self._wanted |= (awaited := self._layers.keys() & set(numbers))
        for event in [self._layers[number] for number in awaited]:
            await event.wait()
