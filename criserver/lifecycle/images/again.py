"""Trying again what a registry has broken off: a few times, each after a pause, unless it asks to be left alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from criserver.errors import Busy, Unavailable

log = logging.getLogger(__name__)

PAUSES = (1.0, 4.0)
"""Seconds before the second and the third try."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Again:
    """How often, and who hears of each further try."""

    retried: Callable[[], None]
    pauses: Sequence[float] = PAUSES

    async def __call__(self, work: Callable[[], Awaitable[T]], what: str) -> T:
        """The result of `work`, which leaves nothing behind when it fails; its last error when no try was left."""
        for pause in self.pauses:
            try:
                return await work()
            except Busy:
                raise
            except Unavailable as error:
                log.warning("%s is tried again in %g s: %s", what, pause, error)
                self.retried()
            await asyncio.sleep(pause)
        return await work()
