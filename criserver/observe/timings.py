"""How long the stages of one operation take: a pod's namespaces, its network, the runtime's create.

Kept beside the operation and logged at its end, so that a slow start says where it was slow. Times come from a
monotonic clock, in seconds since the operation began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: when it began after the operation's start, and how long it took; both in seconds.

    `duration` is None while it runs. `failed` says that it ended with an error.
    """

    name: str
    start: float
    duration: float | None = None
    failed: bool = False


class Stages:
    """The stages of one operation, in the order in which they began; stages may overlap."""

    def __init__(self, operation: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.operation = operation
        self._clock = clock
        self._began = clock()
        self._stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as stage `name`, also when it fails or is cancelled."""
        place, start = len(self._stages), self.elapsed
        self._stages.append(Stage(name, start))
        failed = True
        try:
            yield
            failed = False
        finally:
            self._stages[place] = Stage(name, start, self.elapsed - start, failed)

    @property
    def elapsed(self) -> float:
        """Seconds since the operation began."""
        return self._clock() - self._began

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Every stage so far, those still running included."""
        return tuple(self._stages)

    def fields(self) -> dict[str, str]:
        """For `extra=` of a log call: took=61.2ms stages=namespaces:3.1ms,network:49.0ms; equal names add up."""
        now = self.elapsed
        totals: dict[str, float] = {}
        for stage in self._stages:
            spent = now - stage.start if stage.duration is None else stage.duration
            totals[stage.name] = totals.get(stage.name, 0.0) + spent
        stages = ",".join(f"{name}:{_milliseconds(seconds)}" for name, seconds in totals.items())
        return {"took": _milliseconds(now)} | ({"stages": stages} if stages else {})


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}ms"
