"""Layers are shared: unpacked once, taken over when the first one fails, dropped with the last user."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.errors import DataLoss, Internal, ResourceExhausted, Unavailable
from criserver.lifecycle.images.again import Again
from criserver.lifecycle.images.layer_pool import LayerPool
from criserver.model.image import ImageRecord
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from tests.support.image_fakes import FakeLayers, digest, fetched


class House:
    def __init__(self, database: Database, boot: str = "boot") -> None:
        self.images = ImageRepository(database, boot=boot)
        self.trees = FakeLayers()
        self.received: list[int] = []
        self.retries: list[None] = []
        again = Again(lambda: self.retries.append(None), (0,))
        self.pool = LayerPool(self.images, self.trees, self.received.append, again)

    async def bring(self, image: str, *letters: str) -> tuple[int, ...]:
        """As a pull does: layers held until the image row stands on them."""
        async with self.pool.hold(fetched(image, *letters).layers) as layers:
            await self.images.add(digest(image), ImageRecord(), b"", layers, [])
        return tuple(layer.number for layer in layers)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    database = Database(str(tmp_path / "test.db"))
    yield House(database)
    database.close()


async def test_in_order_and_each_once(house: House) -> None:
    numbers = await house.bring("1", "b", "c", "b")
    assert len(set(numbers)) == 2
    assert numbers[0] == numbers[2]
    assert house.trees.trees == {numbers[0]: digest("b"), numbers[1]: digest("c")}
    await house.bring("2", "c", "d")
    assert sorted(house.trees.unpacked) == [digest("b"), digest("c"), digest("d")]


async def test_two_at_once_unpack_a_common_layer_once(house: House) -> None:
    house.trees.hold.clear()
    both = asyncio.gather(house.bring("1", "b", "c"), house.bring("2", "b", "d"))
    await asyncio.sleep(0.05)
    house.trees.hold.set()
    first, second = await both
    assert first[0] == second[0]
    assert sorted(house.trees.unpacked) == [digest("b"), digest("c"), digest("d")]


async def test_who_waits_takes_over_when_the_first_fails(house: House) -> None:
    house.trees.bad[digest("b")] = DataLoss("truncated")
    first, second = await asyncio.gather(house.bring("1", "b"), house.bring("2", "b"), return_exceptions=True)
    assert isinstance(first, DataLoss)
    assert isinstance(second, tuple)
    assert list(house.trees.trees.values()) == [digest("b")]


async def test_a_layer_that_breaks_off_is_fetched_again_and_every_byte_counts(house: House) -> None:
    house.trees.bad[digest("b")] = Unavailable("unexpected EOF")
    await house.bring("1", "b")
    assert (house.trees.unpacked, house.retries) == ([digest("b")] * 2, [None])
    assert sum(house.received) == 15, "five before it broke off, then ten"


async def test_a_failure_leaves_nothing(house: House) -> None:
    house.trees.bad[digest("c")] = DataLoss("truncated")
    with pytest.raises(DataLoss):
        await house.bring("1", "b", "c")
    assert (house.trees.trees, list(house.images.layers)) == ({}, [])


async def test_a_cancelled_one_leaves_nothing_and_harms_nobody(house: House) -> None:
    house.trees.hold.clear()
    given_up = asyncio.create_task(house.bring("1", "b"))  # noqa: TID251 - held here
    await asyncio.sleep(0.05)
    other = asyncio.create_task(house.bring("2", "b"))  # noqa: TID251 - held here
    await asyncio.sleep(0.05)
    given_up.cancel()
    await asyncio.sleep(0.05)
    house.trees.hold.set()
    numbers = await other
    assert house.trees.trees == {numbers[0]: digest("b")}


async def test_a_host_that_fails_is_told(house: House) -> None:
    house.trees.bad[digest("b")] = OSError(5, "Input/output error", "/x")
    with pytest.raises(Internal, match="Input/output"):
        await house.bring("1", "b")


async def test_layers_go_with_their_last_user(house: House) -> None:
    await house.bring("1", "b", "c")
    await house.bring("2", "b")
    await house.images.remove(digest("1"))
    await house.pool.sweep()
    assert list(house.trees.trees.values()) == [digest("b")]
    await house.images.remove(digest("2"))
    await house.pool.sweep()
    assert (house.trees.trees, list(house.images.layers)) == ({}, [])


async def test_a_layer_that_is_claimed_is_not_swept(house: House) -> None:
    async with house.pool.hold(fetched("1", "b").layers):
        await house.pool.sweep()
        assert list(house.trees.trees.values()) == [digest("b")]
    assert house.trees.trees == {}


async def test_recovery_brings_rows_and_trees_to_agree(house: House) -> None:
    lost, kept = await house.bring("1", "b", "c")
    await house.images.layers.reserve(digest("d"))
    house.trees.trees[99] = "without a row"
    del house.trees.trees[lost]
    assert await house.pool.recover() == {lost}
    assert house.trees.trees == {kept: digest("c")}


async def test_trees_are_flushed_once_and_a_failure_is_told(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await house.bring("1", "b", "c")
    house.trees.disk = OSError(5, "Input/output error")
    await house.pool.flush(0)
    assert "a power loss would cost them" in caplog.text
    house.trees.disk = None
    await house.pool.flush(0)
    await house.pool.flush(0)
    assert (house.trees.flushes, house.images.layers.unflushed()) == (1, frozenset())


async def test_after_a_power_loss_what_was_not_flushed_is_lost(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "power.db"))
    house = House(database, "boot 1")
    (kept,) = await house.bring("1", "b")
    await house.pool.flush(0)
    (lost,) = await house.bring("2", "c")
    trees, house = house.trees, House(database, "boot 2")
    house.trees = trees
    house.pool = LayerPool(house.images, trees)
    assert await house.pool.recover() == {lost}
    assert trees.trees == {kept: digest("b")}
    database.close()


async def test_how_far_a_layer_is(house: House) -> None:
    (blob,) = fetched("1", "b").layers
    assert house.pool.position(blob) == 0
    house.trees.hold.clear()
    bringing = asyncio.gather(house.bring("1", "b"))
    await asyncio.sleep(0.05)
    assert (house.pool.position(blob), sum(house.received)) == (5, 5)
    house.trees.hold.set()
    await bringing
    assert (house.pool.position(blob), sum(house.received)) == (10, 10)


async def test_a_failure_ends_the_layers_beside_it(house: House) -> None:
    house.trees.bad[digest("c")] = DataLoss("truncated")
    house.trees.slow.add(digest("b"))
    with pytest.raises(DataLoss):
        await asyncio.wait_for(house.bring("1", "b", "c"), 5)
    assert (house.trees.trees, house.pool.position(fetched("1", "b").layers[0])) == ({}, 0)


async def test_a_disk_too_full_for_the_database_leaves_no_tree(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise ResourceExhausted("no space left for the state database")

    monkeypatch.setattr(house.images.layers, "ready", full)
    monkeypatch.setattr(house.images.layers, "forget", full)
    with pytest.raises(ResourceExhausted, match="no space left"):
        await house.bring("1", "b")
    assert house.trees.trees == {}
    monkeypatch.undo()
    await house.bring("1", "b")
    assert list(house.trees.trees.values()) == [digest("b")]
