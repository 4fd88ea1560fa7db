"""Traces in the database: kept over a restart, bounded, and of pods that are gone too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.observe.timings import Asked, Stage
from criserver.observe.trace import Trace
from criserver.state import traces as module
from criserver.state.db import Database
from criserver.state.traces import Traces


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(str(tmp_path / "test.db"))
    yield made
    made.close()


def trace(operation: str = "RunPodSandbox", sandbox_id: str = "a" * 64, number: int = 0) -> Trace:
    stage = Stage("network", 0.1, 0.2, asked=(Asked("cni", "bridge", 0.1, 0.2, "config", "result"),))
    return Trace(operation, "default/web", sandbox_id, number, 0.5, stages=(stage,))


async def test_what_went_in_comes_out_after_a_restart(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "kept.db"))
    await Traces(database).add(trace())
    database.close()
    again = Database(database.path)
    for pod in ("default/web", "a" * 64, "aaa"):
        assert await Traces(again).of(pod) == (trace(),)
    assert await Traces(again).of("default/we") == ()
    again.close()


async def test_a_pod_keeps_its_first_operation_and_its_newest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PER_POD", 3)
    traces = Traces(database)
    await traces.add(trace())
    for number in range(1, 6):
        await traces.add(trace("StartContainer", number=number))
    assert [each.began for each in await traces.of("default/web")] == [0, 4, 5]


async def test_of_pods_that_are_gone_the_newest_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OF_GONE", 2)
    monkeypatch.setattr(module, "_SWEEP", 2)
    traces = Traces(database)
    for number in range(7):
        await traces.add(trace(sandbox_id=f"{number:064}", number=number))
    assert [each.began for each in await traces.of("default/web")] == [5, 6]
    assert await traces.count() == 2


async def test_a_damaged_record_hides_no_other(database: Database) -> None:
    traces = Traces(database)
    await traces.add(trace())
    await database.write(lambda connection: connection.execute("UPDATE traces SET record = x'00'"))
    await traces.add(trace(number=1))
    assert [each.began for each in await traces.of("aaa")] == [1]
