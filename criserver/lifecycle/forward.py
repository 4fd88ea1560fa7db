"""Deletes go forward: every step is idempotent, so a delete that was cut short is run again from its start.

Its steps are journalled too, so that a person (and a crash test) can see how far it came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from criserver.state.journal import Journal, Step

STOP_POD, REMOVE_POD, REMOVE_CONTAINER = "StopPodSandbox", "RemovePodSandbox", "RemoveContainer"
FORWARD = frozenset({STOP_POD, REMOVE_POD, REMOVE_CONTAINER})


async def go(
    journal: Journal, operation: str, subject: str, steps: Sequence[tuple[str, Callable[[], Awaitable[object]]]]
) -> None:
    """Do the steps in order; the first that fails ends it, and stays in the journal until the next try is through."""
    for name, do in steps:
        await journal.record(Step(operation, subject, name))
        await do()
    await journal.settle(subject)
