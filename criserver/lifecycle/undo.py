"""The undo stack of a create, journalled: what fails half-way, or dies half-way, is taken back step by step.

Steps are names with one undo each (`Undoers`), not closures, so that the very same undo runs when a step fails, when
the daemon starts after a crash, and when garbage collection tries again. Every undo is idempotent and derives what it
needs from the subject's id and the journalled detail.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from criserver.state.journal import Journal, Step

T = TypeVar("T")
Undo = Callable[[str, str], Awaitable[None]]
Undoers = Mapping[str, Undo]
log = logging.getLogger(__name__)


class UndoStack:
    """`async with` around a create: leaving it with an exception takes every step back, newest first."""

    def __init__(self, journal: Journal, undoers: Undoers, operation: str, subject: str) -> None:
        self._journal, self._undoers = journal, undoers
        self._operation, self._subject = operation, subject
        self._done: list[Step] = []
        self.left: tuple[Step, ...] = ()

    def first(self, name: str) -> Step:
        """The step that is journalled together with the subject's row, by the repository's insert."""
        step = Step(self._operation, self._subject, name)
        self._done.append(step)
        return step

    async def step(self, name: str, do: Callable[[], Awaitable[T]], detail: str = "") -> T:
        """Journal the step, then do it."""
        step = Step(self._operation, self._subject, name, detail)
        self._done.append(step)
        await self._journal.record(step)
        return await do()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.left = await take_back(reversed(self._done), self._undoers, self._journal)


async def take_back(steps: Iterable[Step], undoers: Undoers, journal: Journal) -> tuple[Step, ...]:
    """Undo steps in the given order, whatever fails; returns those that are left, still journalled and logged."""
    left = []
    for step in steps:
        try:
            await undoers[step.step](step.subject, step.detail)
        except Exception as error:
            log.error("cannot undo %s of %s %s: %s", step.step, step.operation, step.subject, error)
            left.append(step)
        else:
            await journal.settle(step.subject, step.step)
    return tuple(left)
