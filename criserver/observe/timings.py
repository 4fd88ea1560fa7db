"""How long the stages of one operation take (a pod's namespaces, its network, the runtime's create), and what each
asked of the kernel or of a program.

Kept beside the operation and logged at its end, so that a slow start says where it was slow. Times come from a
monotonic clock, in seconds since the operation began. What is asked is noted where it happens (`asked`, `asking`): it
goes to the stage that the running task is in, found by a context variable, and nowhere when there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Final

MAX_ASKED: Final = 128
"""Things that one stage keeps; more are counted."""
MAX_TEXT: Final = 64 << 10
"""Characters of one document: the config.json of a container with seccomp has 20,000."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing asked: its kind (namespace, mount, cgroup, cni, runtime, …), and the call in one line.

    `text` is what was handed over with it and `answer` what came back, where these are documents. `at` is seconds
    after the operation's start; `took` is known of what was waited for.
    """

    kind: str
    what: str
    at: float = 0.0
    took: float | None = None
    text: str = ""
    answer: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: when it began after the operation's start, and how long it took; both in seconds.

    `duration` is None while it runs. `failed` says that it ended with an error. `more` counts what was asked and is
    not among `asked`.
    """

    name: str
    start: float
    duration: float | None = None
    failed: bool = False
    asked: tuple[Asked, ...] = ()
    more: int = 0


class Stages:
    """The stages of one operation, in the order in which they began; stages may overlap."""

    def __init__(self, operation: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.operation = operation
        self._clock = clock
        self._began = clock()
        self._stages: list[_Open] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as stage `name`, also when it fails or is cancelled."""
        stage = _Open(self, name, self.elapsed)
        self._stages.append(stage)
        token = _current.set(stage)
        try:
            yield
            stage.failed = False
        finally:
            _current.reset(token)
            stage.duration = self.elapsed - stage.start

    @property
    def elapsed(self) -> float:
        """Seconds since the operation began."""
        return self._clock() - self._began

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Every stage so far, those still running included."""
        return tuple(stage.frozen() for stage in self._stages)

    @property
    def running(self) -> str:
        """The stages that run now, by name."""
        return ", ".join(stage.name for stage in self._stages if stage.duration is None)

    def fields(self) -> dict[str, str]:
        """For `extra=` of a log call: took=61.2ms stages=namespaces:3.1ms,network:49.0ms; equal names add up."""
        now = self.elapsed
        totals: dict[str, float] = {}
        for stage in self._stages:
            spent = now - stage.start if stage.duration is None else stage.duration
            totals[stage.name] = totals.get(stage.name, 0.0) + spent
        stages = ",".join(f"{name}:{_milliseconds(seconds)}" for name, seconds in totals.items())
        return {"took": _milliseconds(now)} | ({"stages": stages} if stages else {})


class Answer:
    """What came back of something asked: a document, noted by whoever got it."""

    def __init__(self) -> None:
        self.text = ""


def asked(kind: str, what: str, text: str = "") -> None:
    """Note something that is asked in passing, just before it is done."""
    stage = _current.get()
    if stage is not None:
        stage.note(Asked(kind, what, stage.owner.elapsed, text=text[:MAX_TEXT]))


def braced(paths: Sequence[str]) -> str:
    """Paths that differ in one part only as one word of a shell: /sys/fs/cgroup/{cpu,memory}/pod1."""
    parts = [path.split("/") for path in paths]
    widths = {len(each) for each in parts}
    differing = [place for place, column in enumerate(zip(*parts, strict=False)) if len(set(column)) > 1]
    if len(paths) < 2 or len(widths) > 1 or len(differing) != 1:
        return " ".join(paths)
    place = differing[0]
    first = parts[0]
    return "/".join([*first[:place], f"{{{','.join(each[place] for each in parts)}}}", *first[place + 1 :]])


@contextmanager
def asking(kind: str, what: str, text: str = "") -> Iterator[Answer]:
    """Note something that is waited for: how long the block takes, its answer, and whether it fails."""
    answer, stage = Answer(), _current.get()
    if stage is None:
        yield answer
        return
    began, failed = stage.owner.elapsed, True
    place = stage.note(Asked(kind, what, began, text=text[:MAX_TEXT]))
    try:
        yield answer
        failed = False
    finally:
        took = stage.owner.elapsed - began
        stage.settle(place, took=took, answer=answer.text[:MAX_TEXT], failed=failed)


@dataclass(slots=True)
class _Open:
    """A stage on its way."""

    owner: Stages
    name: str
    start: float
    duration: float | None = None
    failed: bool = True
    asked: list[Asked] = field(default_factory=list)
    more: int = 0

    def note(self, asked: Asked) -> int:
        """Keep it; its place, or -1 when there is no room."""
        if len(self.asked) >= MAX_ASKED:
            self.more += 1
            return -1
        self.asked.append(asked)
        return len(self.asked) - 1

    def settle(self, place: int, *, took: float, answer: str, failed: bool) -> None:
        if place >= 0:
            self.asked[place] = replace(self.asked[place], took=took, answer=answer, failed=failed)

    def frozen(self) -> Stage:
        ended = self.duration is not None
        return Stage(self.name, self.start, self.duration, ended and self.failed, tuple(self.asked), self.more)


_current: ContextVar[_Open | None] = ContextVar("stage", default=None)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}ms"
