"""Creates that fail: every step is taken back, newest first, and what cannot be is kept in the journal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from criserver.lifecycle.undo import Undo, Undoers, UndoStack, take_back
from criserver.state.db import Database
from criserver.state.journal import Journal, Step


class Steps:
    """Undoers that note their calls; those in `broken` fail."""

    def __init__(self) -> None:
        self.undone: list[tuple[str, str, str]] = []
        self.broken: set[str] = set()

    def undoers(self) -> Undoers:
        return {name: self._undoer(name) for name in ("files", "network", "cgroup")}

    def _undoer(self, name: str) -> Undo:
        async def undo(subject: str, detail: str) -> None:
            if name in self.broken:
                raise OSError(f"{name} is busy")
            self.undone.append((name, subject, detail))

        return undo


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    database = Database(str(tmp_path / "test.db"))
    yield Journal(database)
    database.close()


@pytest.fixture
def steps() -> Steps:
    return Steps()


async def fine() -> None:
    pass


async def names(journal: Journal) -> list[str]:
    return [step.step for step in await journal.open_steps()]


async def test_a_step_is_in_the_journal_before_it_is_done(journal: Journal, steps: Steps) -> None:
    seen: list[Step] = []

    async def do() -> str:
        seen.extend(await journal.open_steps())
        return "result"

    async with UndoStack(journal, steps.undoers(), "Run", "s1") as stack:
        assert await stack.step("network", do, "detail") == "result"
    assert seen == [Step("Run", "s1", "network", "detail")]
    assert await names(journal) == ["network"] and steps.undone == [], "who makes it visible settles the journal"


async def test_a_failure_takes_back_all_steps_newest_first(journal: Journal, steps: Steps) -> None:
    async def fail() -> None:
        raise ValueError("no")

    stack = UndoStack(journal, steps.undoers(), "Run", "s1")

    async def create() -> None:
        async with stack:
            await journal.record(stack.first("files"))
            await stack.step("network", fine, "config")
            await stack.step("cgroup", fail, "/pods/s1")

    with pytest.raises(ValueError, match="no"):
        await create()
    assert steps.undone == [("cgroup", "s1", "/pods/s1"), ("network", "s1", "config"), ("files", "s1", "")]
    assert await names(journal) == [] and stack.left == ()


async def test_an_undo_that_fails_does_not_end_the_others(
    journal: Journal, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    steps.broken = {"network"}
    stack = UndoStack(journal, steps.undoers(), "Run", "s1")

    async def create() -> None:
        async with stack:
            for name in ("files", "network", "cgroup"):
                await stack.step(name, fine)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await create()
    assert [name for name, _, _ in steps.undone] == ["cgroup", "files"]
    assert stack.left == (Step("Run", "s1", "network"),) and await names(journal) == ["network"]
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.message == "cannot undo network of Run s1: network is busy"


async def test_steps_of_others_stay(journal: Journal, steps: Steps) -> None:
    mine, other = Step("Run", "s1", "files"), Step("Run", "s2", "files")
    for step in (mine, other):
        await journal.record(step)
    assert await take_back([mine], steps.undoers(), journal) == ()
    assert await journal.open_steps() == (other,)


async def test_a_step_of_a_newer_server_is_left_for_it(journal: Journal, steps: Steps) -> None:
    unknown = Step("Run", "s1", "warp-drive")
    await journal.record(unknown)
    assert await take_back([unknown], steps.undoers(), journal) == (unknown,)
    assert await journal.open_steps() == (unknown,)
