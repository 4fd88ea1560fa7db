import asyncio
from collections.abc import Collection, Mapping

import pytest

from criserver.lifecycle.reports import readings
from criserver.lifecycle.reports.readings import Readings


class Source:
    """Counts up with every reading; `gone` cannot be read."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.gone: set[str] = set()

    async def __call__(self, names: Collection[str]) -> Mapping[str, int]:
        self.rounds.append(sorted(names))
        await asyncio.sleep(0)
        return {name: len(self.rounds) for name in names if name not in self.gone}


async def test_callers_of_a_period_share_one_reading() -> None:
    source = Source()
    shared = Readings(60, source)
    answers = await asyncio.gather(*(shared.get(["a", "b"]) for _ in range(5)))
    assert source.rounds == [["a", "b"]]
    assert {answer["a"].value for answer in answers} == {1}


async def test_only_what_is_not_known_yet_is_read() -> None:
    source = Source()
    shared = Readings(60, source)
    await shared.get(["a"])
    await shared.get(["a", "b"])
    assert source.rounds == [["a"], ["b"]]


async def test_an_old_reading_becomes_the_one_before() -> None:
    source = Source()
    shared = Readings(0, source)
    assert (await shared.get(["a"]))["a"].before is None
    second = (await shared.get(["a"]))["a"]
    assert (second.before, second.value) == (1, 2)


async def test_what_cannot_be_read_is_missing_and_forgotten() -> None:
    source = Source()
    shared = Readings(0, source)
    await shared.get(["a", "b"])
    source.gone = {"a"}
    assert set(await shared.get(["a", "b"])) == {"b"}
    source.gone = set()
    assert (await shared.get(["a"]))["a"].before is None


async def test_names_nobody_asks_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "FORGET_SECONDS", -1.0)
    shared = Readings(0, Source())
    await shared.get(["a"])
    assert shared._taken == {}
