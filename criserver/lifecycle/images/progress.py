"""Pulls that run now: which, since when, at what, and how many bytes and layers of how many have come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from criserver.observe.timings import Stages
from criserver.ports.registry import LayerBlob

log = logging.getLogger(__name__)

LOG_SECONDS = 10.0
"""A pull that takes longer says so this often."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One pull as it stands: `seconds` since its begin; bytes are the registry's, layers that are here already count.

    `stage` is one of waiting, resolve, fetch, unpack and commit. Totals are 0 until the manifest is known.
    """

    image: str
    stage: str
    seconds: float
    bytes: int
    total_bytes: int
    layers: int
    total_layers: int


class RunningPull:
    """One pull; whoever runs it says what there is to bring."""

    def __init__(self, image: str, stages: Stages, position: Callable[[LayerBlob], int]) -> None:
        self._image, self._stages, self._position = image, stages, position
        self.blobs: Sequence[LayerBlob] = ()

    def progress(self) -> Progress:
        """As of now."""
        positions = [self._position(blob) for blob in self.blobs]
        complete = sum(position == blob.size for position, blob in zip(positions, self.blobs, strict=True))
        running = [stage.name for stage in self._stages.stages if stage.duration is None]
        total = sum(blob.size for blob in self.blobs)
        return Progress(
            self._image,
            running[-1] if running else "waiting",
            self._stages.elapsed,
            sum(positions),
            total,
            complete,
            len(self.blobs),
        )


class RunningPulls:
    """All of them."""

    def __init__(self, position: Callable[[LayerBlob], int]) -> None:
        """`position` tells how many bytes of a layer have come."""
        self._position = position
        self._running: list[RunningPull] = []

    def __iter__(self) -> Iterator[Progress]:
        return (pull.progress() for pull in tuple(self._running))

    @contextmanager
    def running(self, image: str, stages: Stages) -> Iterator[RunningPull]:
        """The pull runs as long as the context lasts, and tells the log how far it is."""
        pull = RunningPull(image, stages, self._position)
        loop = asyncio.get_running_loop()
        handles: list[asyncio.TimerHandle] = []

        def tell() -> None:
            log.info("image is being pulled", extra=fields(pull.progress()))
            handles[:] = [loop.call_later(LOG_SECONDS, tell)]

        handles.append(loop.call_later(LOG_SECONDS, tell))
        self._running.append(pull)
        try:
            yield pull
        finally:
            self._running.remove(pull)
            handles[0].cancel()


def fields(progress: Progress) -> dict[str, str]:
    """For `extra=` of a log call."""
    return {
        "image": progress.image,
        "stage": progress.stage,
        "took": f"{progress.seconds:.1f}s",
        "bytes": f"{progress.bytes}/{progress.total_bytes}",
        "layers": f"{progress.layers}/{progress.total_layers}",
    }
