"""Deletes that fail stay in the journal, and run again from their start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from criserver.lifecycle.forward import FORWARD, REMOVE_CONTAINER, REMOVE_POD, STOP_POD, go
from criserver.state.db import Database
from criserver.state.journal import Journal, Step


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    database = Database(str(tmp_path / "test.db"))
    yield Journal(database)
    database.close()


async def test_steps_in_order_each_journalled_before_it_is_done(journal: Journal) -> None:
    seen: list[list[str]] = []

    async def look() -> None:
        seen.append([step.step for step in reversed(await journal.open_steps())])

    await go(journal, STOP_POD, "s1", [("network", look), ("namespaces", look)])
    assert seen == [["network"], ["network", "namespaces"]]
    assert await journal.open_steps() == ()


async def test_the_first_failure_ends_it_and_the_next_try_begins_anew(journal: Journal) -> None:
    done: list[str] = []
    broken = True

    async def network() -> None:
        done.append("network")

    async def namespaces() -> None:
        if broken:
            raise OSError("busy")
        done.append("namespaces")

    async def files() -> None:
        done.append("files")

    await journal.record(Step(REMOVE_POD, "s2", "files"))
    steps = [("network", network), ("namespaces", namespaces), ("files", files)]
    with pytest.raises(OSError, match="busy"):
        await go(journal, STOP_POD, "s1", steps)
    assert done == ["network"]
    assert [step.step for step in await journal.open_steps() if step.subject == "s1"] == ["namespaces", "network"]
    broken = False
    await go(journal, STOP_POD, "s1", steps)
    assert done == ["network", "network", "namespaces", "files"]
    assert await journal.open_steps() == (Step(REMOVE_POD, "s2", "files"),), "nobody else's"


def test_no_delete_is_ever_undone() -> None:
    assert {STOP_POD, REMOVE_POD, REMOVE_CONTAINER} == FORWARD
