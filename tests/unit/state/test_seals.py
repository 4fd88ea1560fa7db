"""Seals are kept per image and demand, and go with the image."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from criserver.model.image import ImageRecord
from criserver.state.additional import AdditionalStore, read_store
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from criserver.state.seals import Seals

ID, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "criserver.db"))
    yield opened
    opened.close()


async def test_a_seal_is_one_images_and_goes_with_it(database: Database) -> None:
    images, seals = ImageRepository(database), Seals(database)
    await images.add(ID, ImageRecord(), b"", [], [])
    for _ in range(2):
        await seals.add(ID, "a")
    await seals.add(OTHER, "a")
    assert [await seals.has(ID, "a"), await seals.has(ID, "b"), await seals.has(OTHER, "a")] == [True, False, False]
    await images.remove(ID)
    await images.add(ID, ImageRecord(), b"", [], [])
    assert not await seals.has(ID, "a")


async def test_seals_of_an_additional_store(database: Database, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    other = Database(str(tmp_path / "store" / "criserver.db"))
    await ImageRepository(other).add(ID, ImageRecord(), b"", [], [])
    await Seals(other).add(ID, "a")
    other.close()
    store = read_store(str(tmp_path / "store"), 0)
    assert store.seals == {ID: frozenset({"a"})}
    assert await Seals(database, [store]).has(ID, "a")
    assert not await Seals(database, [AdditionalStore("/", {}, {}, {}, {})]).has(ID, "a")


async def test_a_store_of_a_server_from_before_seals(tmp_path: Path) -> None:
    older = Database(str(tmp_path / "criserver.db"))
    await ImageRepository(older).add(ID, ImageRecord(), b"", [], [])
    older.close()
    with closing(sqlite3.connect(tmp_path / "criserver.db")) as connection:
        connection.execute("DROP TABLE image_seals")
        connection.execute("PRAGMA user_version=2")
    store = read_store(str(tmp_path), 0)
    assert (set(store.images), store.seals) == ({ID}, {})
