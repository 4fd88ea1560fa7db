"""A pod's traces as the server tells them (`api/admin_traces`), with what is computed of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from criserver.observe.timings import Asked, Stage
from criserver.observe.trace import Trace

GROUPS: Mapping[str, str] = {
    "database": "the server's own database",
    "namespace": "namespaces",
    "sysctl": "namespaces",
    "network": "network",
    "cni": "network",
    "cgroup": "cgroups",
    "mount": "mounts and files",
    "file": "mounts and files",
    "process": "processes and the runtime",
    "runtime": "processes and the runtime",
}
"""Kinds of what is asked, by what they have to do with."""


@dataclass(frozen=True)
class Pod:
    """One pod's operations, oldest first. `now` is when the server told of them, in nanoseconds since the epoch."""

    name: str
    sandbox_id: str
    operations: tuple[Trace, ...]
    now: int

    def took(self, operation: Trace) -> float:
        """Seconds that the operation took, or has taken so far."""
        return (self.now - operation.began) / 1e9 if operation.took is None else operation.took

    def lasted(self, operation: Trace, stage: Stage) -> float:
        """Seconds that the stage took, or has taken so far."""
        return max(0.0, self.took(operation) - stage.start) if stage.duration is None else stage.duration

    @cached_property
    def busy(self) -> float:
        """Seconds of all operations together; those at a time count each."""
        return sum(self.took(each) for each in self.operations)

    @cached_property
    def asked(self) -> int:
        """How many things were asked."""
        return sum(len(stage.asked) + stage.more for each in self.operations for stage in each.stages)


def pods(answer: Mapping[str, Any]) -> list[Pod]:
    """The pods of an answer, oldest first."""
    return [
        Pod(each["pod"], each["sandbox_id"], msgspec.convert(each["operations"], tuple[Trace, ...]), answer["now"])
        for each in answer["pods"]
    ]


def group(stage: Stage) -> str:
    """What the stage has most to do with: what took longest of what it asked, else a process, else the most."""
    weights: dict[str, float] = {}
    for each in stage.asked:
        name = GROUPS.get(each.kind, GROUPS["process"])
        weights[name] = weights.get(name, 0.0) + (each.took or (1e-5 if each.kind == "process" else 1e-6))
    return max(weights, key=lambda name: weights[name]) if weights else GROUPS["file"]


def beside(operation: Trace, stage: Stage) -> list[str]:
    """Other stages that ran at the same time, by name."""
    end = float("inf") if stage.duration is None else stage.start + stage.duration
    return [
        other.name
        for other in operation.stages
        if other is not stage
        and min(end, _end(other)) - max(stage.start, other.start) > 0.0005
    ]


def with_spec(operation: Trace, stage: Stage) -> tuple[Asked, ...]:
    """What the stage asked; the runtime's create shows the config.json that an earlier stage has written for it."""
    written = [each for found in operation.stages for each in found.asked if each.what.endswith("/config.json")]
    if not written:
        return stage.asked
    return tuple(
        replace(each, text=written[-1].text) if each.kind == "runtime" and not each.text else each
        for each in stage.asked
    )


def documents(asked: Asked) -> list[tuple[str, str]]:
    """What was handed over and what came back, each with its title."""
    titles = {
        "cni": ("its configuration, on standard input", "its result"),
        "file": ("what was written", ""),
        "runtime": ("its config.json", ""),
    }
    given, answered = titles.get(asked.kind, ("input", "answer"))
    return [(title, text) for title, text in ((given, asked.text), (answered, asked.answer)) if title and text]


def duration(seconds: float) -> str:
    """As a person reads it: 0.4 ms, 61 ms, 2.30 s."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def _end(stage: Stage) -> float:
    return float("inf") if stage.duration is None else stage.start + stage.duration
