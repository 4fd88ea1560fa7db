"""What writable layers take on disk, found by walks in the background that no caller waits for long.

A walk takes as long as its tree is large. So each answer has the newest finished one, and a layer is walked again
only after a pause that its size has earned: walking takes at most some percent of the time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from criserver.lifecycle.tasks import Tasks
from criserver.model.stats import DiskUsage

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 0.5  # how long an answer waits for the walks that it has begun
YOUNG_SECONDS = 15.0  # a usage that no answer waits for a newer one of: the kubelet asks every ten seconds
LATER_SECONDS = 0.2  # when a walk begins that no answer waits for: it shall not slow down the one that is being made
REST = 20  # a walk's pause, in multiples of its length


@dataclass(slots=True)
class _Layer:
    usage: DiskUsage | None = None
    due: float = 0.0
    walked: float = float("-inf")
    walk: asyncio.Task[None] | None = None


class DiskWalks:
    """The newest disk usage of each container."""

    def __init__(self, period: float, measure: Callable[[str], Awaitable[DiskUsage | None]], tasks: Tasks) -> None:
        """`measure` walks the layer of a container id; `period` is the shortest pause in seconds."""
        self._period, self._measure, self._tasks = period, measure, tasks
        self._layers: dict[str, _Layer] = {}

    async def get(self, container_ids: Collection[str]) -> Mapping[str, DiskUsage]:
        """Usage by container id; a container whose first walk is not over yet is missing."""
        now = asyncio.get_running_loop().time()
        walks = {key: walk for key in container_ids if (walk := self._walk(key, now)) is not None}
        awaited = [walk for key, walk in walks.items() if not _young(self._layers[key], now)]
        if awaited:
            await asyncio.wait(awaited, timeout=PATIENCE_SECONDS)
        known = {key: layer.usage for key in container_ids if (layer := self._layers.get(key))}
        return {key: usage for key, usage in known.items() if usage is not None}

    def forget(self, alive: Collection[str]) -> None:
        """Drop what is known of all other containers."""
        for key in self._layers.keys() - set(alive):
            del self._layers[key]

    def _walk(self, key: str, now: float) -> asyncio.Task[None] | None:
        layer = self._layers.setdefault(key, _Layer())
        if layer.walk is None and now >= layer.due:
            later = LATER_SECONDS if _young(layer, now) else 0.0
            layer.walk = self._tasks.spawn(self._run(key, layer, later), name=f"disk usage {key[:12]}", endless=True)
        return layer.walk

    async def _run(self, key: str, layer: _Layer, later: float) -> None:
        if later:
            await asyncio.sleep(later)
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            layer.usage = await self._measure(key)
        finally:
            ended = clock()
            layer.walk, layer.due = None, ended + max(self._period, REST * (ended - began))
            layer.walked = began
        if layer.usage is not None and not layer.usage.complete:
            log.warning("container %s has too large or too deep a tree: its disk usage is more than is told", key)


def _young(layer: _Layer, now: float) -> bool:
    return now - layer.walked <= YOUNG_SECONDS
