import asyncio

import pytest

from criserver.lifecycle.reports import disk_walks
from criserver.lifecycle.reports.disk_walks import DiskWalks
from criserver.lifecycle.tasks import Tasks
from criserver.model.stats import DiskUsage


class Layers:
    """Walks that end when they may."""

    def __init__(self) -> None:
        self.walked: list[str] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.complete = True

    async def __call__(self, key: str) -> DiskUsage | None:
        self.walked.append(key)
        await self.may_end.wait()
        return None if key == "gone" else DiskUsage(1, len(self.walked), 1, complete=self.complete)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_walks, "LATER_SECONDS", 0.0)


async def test_the_first_answer_waits_for_a_quick_walk() -> None:
    layers = Layers()
    found = await DiskWalks(60, layers, Tasks()).get(["a", "gone"])
    assert {key: usage.used for key, usage in found.items()} == {"a": 1}


async def test_a_layer_is_not_walked_again_before_its_time() -> None:
    layers = Layers()
    walks = DiskWalks(60, layers, Tasks())
    await walks.get(["a"])
    await walks.get(["a"])
    assert layers.walked == ["a"]


async def test_a_long_walk_keeps_nobody_waiting_and_is_not_begun_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_walks, "PATIENCE_SECONDS", 0.01)
    layers = Layers()
    walks = DiskWalks(0, layers, Tasks())
    before = await walks.get(["a"])
    await asyncio.sleep(0.01)
    layers.may_end.clear()
    assert await walks.get(["a"]) == before
    await asyncio.sleep(0)
    assert await walks.get(["a"]) == before
    await asyncio.sleep(0)
    assert layers.walked == ["a", "a"]
    layers.may_end.set()


async def test_an_answer_that_has_a_young_usage_waits_for_no_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = Layers()
    walks = DiskWalks(0, layers, Tasks())
    before = await walks.get(["a"])
    await asyncio.sleep(0.01)
    layers.may_end.clear()
    async with asyncio.timeout(0.2):
        assert await walks.get(["a"]) == before
    await asyncio.sleep(0)
    assert layers.walked == ["a", "a"], "it has begun one for those who come later"
    monkeypatch.setattr(disk_walks, "YOUNG_SECONDS", 0.0)
    asyncio.get_running_loop().call_later(0.05, layers.may_end.set)
    assert await walks.get(["a"]) != before
    await asyncio.sleep(0)


async def test_a_walk_that_no_answer_waits_for_begins_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_walks, "LATER_SECONDS", 0.3)
    monkeypatch.setattr(disk_walks, "REST", 0)
    layers, loop = Layers(), asyncio.get_running_loop()
    walks = DiskWalks(0, layers, Tasks())
    await walks.get(["a"])
    asked = loop.time()
    await walks.get(["a"])
    async with asyncio.timeout(10):
        while layers.walked == ["a"]:
            await asyncio.sleep(0.01)
    assert layers.walked == ["a", "a"]
    assert loop.time() - asked >= 0.3


async def test_a_long_walk_earns_a_long_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_walks, "REST", 1000)
    layers = Layers()
    walks = DiskWalks(0, layers, Tasks())
    layers.may_end.clear()
    asyncio.get_running_loop().call_later(0.02, layers.may_end.set)
    await walks.get(["a"])
    await walks.get(["a"])
    assert layers.walked == ["a"]


async def test_containers_that_are_gone_are_forgotten() -> None:
    layers = Layers()
    walks = DiskWalks(60, layers, Tasks())
    await walks.get(["a", "b"])
    walks.forget(["b"])
    await walks.get(["a", "b"])
    assert layers.walked == ["a", "b", "a"]


async def test_an_incomplete_figure_is_said(caplog: pytest.LogCaptureFixture) -> None:
    layers = Layers()
    layers.complete = False
    await DiskWalks(60, layers, Tasks()).get(["a"])
    assert "disk usage is more" in caplog.text
