"""Layer rows: numbers are never given twice, and what never became ready is no layer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.model.image import ImageRecord, Layer
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from criserver.state.layers import LayerRepository

DIFF = "sha256:" + "d" * 64


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "test.db"))
    yield opened
    opened.close()


async def test_reserved_is_not_yet_a_layer(database: Database) -> None:
    layers = LayerRepository(database)
    number = await layers.reserve(DIFF)
    assert (layers.find(DIFF), list(layers), list(LayerRepository(database))) == (None, [], [])
    layer = Layer(number, DIFF, 10, 2)
    await layers.ready(layer)
    assert layers.find(DIFF) == layer
    assert list(LayerRepository(database)) == [layer]


async def test_numbers_are_never_given_twice(database: Database) -> None:
    layers = LayerRepository(database)
    first = await layers.reserve(DIFF)
    again = await layers.reserve(DIFF)
    await layers.forget([again])
    assert first < again < await layers.reserve(DIFF)


async def test_unfinished_are_forgotten_and_ready_ones_stay(database: Database) -> None:
    layers = LayerRepository(database)
    ready = Layer(await layers.reserve(DIFF), DIFF, 1, 1)
    await layers.ready(ready)
    await layers.reserve(DIFF.replace("d", "e"))
    await layers.forget_unfinished()
    assert database.read("SELECT number FROM layers") == [(ready.number,)]
    assert list(layers) == [ready]


async def test_a_layer_that_an_image_stands_on_cannot_be_forgotten(database: Database) -> None:
    images = ImageRepository(database)
    layer = Layer(await images.layers.reserve(DIFF), DIFF, 1, 1)
    await images.layers.ready(layer)
    await images.add("sha256:i", ImageRecord(), b"{}", [layer], [])
    with pytest.raises(sqlite3.IntegrityError):
        await images.layers.forget([layer.number])
    assert images.layers.find(DIFF) == layer


async def test_until_it_is_flushed_a_layer_belongs_to_its_boot(database: Database) -> None:
    layers = LayerRepository(database, "boot 1")
    number = await layers.reserve(DIFF)
    await layers.ready(Layer(number, DIFF, 10, 2))
    assert layers.unflushed() == {number}
    again = LayerRepository(database, "boot 1")
    assert (again.unflushed(), again.lost) == (frozenset([number]), frozenset())
    after_power_loss = LayerRepository(database, "boot 2")
    assert (after_power_loss.unflushed(), after_power_loss.lost) == (frozenset(), frozenset([number]))
    await again.flushed([number])
    assert (again.unflushed(), LayerRepository(database, "boot 2").lost) == (frozenset(), frozenset())


async def test_what_is_forgotten_needs_no_flush(database: Database) -> None:
    layers = LayerRepository(database, "boot 1")
    number = await layers.reserve(DIFF)
    await layers.ready(Layer(number, DIFF, 10, 2))
    await layers.forget([number])
    assert layers.unflushed() == frozenset()
