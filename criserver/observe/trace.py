"""A trace: one operation on a pod or container with its stages, as it is kept and told; and what is usual of them."""

from __future__ import annotations

import re
import statistics
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from criserver.observe.timings import Stage

SLOW_FACTOR: Final = 3.0
SLOW_SECONDS: Final = 0.1
_REMEMBERED: Final = 101
_FEWEST: Final = 5

traceparent: ContextVar[str] = ContextVar("traceparent", default="")
"""The caller's place in a trace of its own (W3C Trace Context, traceparent), "" without one."""
_TRACEPARENT: Final = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def parent_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The traceparent among a request's metadata, "" without one or for one that is none."""
    for key, value in metadata:
        if key == "traceparent" and isinstance(value, str) and _TRACEPARENT.fullmatch(value):
            return value
    return ""


@dataclass(frozen=True, slots=True)
class Trace:
    """One operation: RunPodSandbox, CreateContainer or StartContainer.

    `began` is in nanoseconds since the epoch, `took` in seconds, None while it runs. `pod` is namespace/name;
    `container` a name, "" for an operation on the pod itself. `parent` is the caller's traceparent.
    """

    operation: str
    pod: str
    sandbox_id: str
    began: int
    took: float | None = None
    container: str = ""
    container_id: str = ""
    error: str = ""
    parent: str = ""
    stages: tuple[Stage, ...] = ()


class Usual:
    """How long stages usually take: the median of the last hundred of each name."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], deque[float]] = {}

    def slow(self, operation: str, stage: str, seconds: float) -> float | None:
        """Note a stage's time; its usual time (seconds) when this one is far above that, else None.

        Far above: more than three times as long, and more than 100 ms. Nothing is usual before five were seen.
        """
        taken = self._taken.setdefault((operation, stage), deque(maxlen=_REMEMBERED))
        usual = statistics.median(taken) if seconds > SLOW_SECONDS and len(taken) >= _FEWEST else None
        taken.append(seconds)
        return usual if usual is not None and seconds > SLOW_FACTOR * usual else None
