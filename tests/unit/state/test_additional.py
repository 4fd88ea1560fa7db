"""Additional stores: read as they are, never written; the own rows come first."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from criserver.errors import FailedPrecondition, NotFound
from criserver.model.image import ImageDefaults, ImageRecord, Layer, layer_name
from criserver.state.additional import read_store
from criserver.state.db import Database
from criserver.state.images import ImageRepository

ID, OTHER, DIFF = "sha256:" + "1" * 64, "sha256:" + "2" * 64, "sha256:" + "d" * 64
TAG, DIGEST = "a.example/app:1", "a.example/app@sha256:" + "f" * 64
RECORD = ImageRecord(ImageDefaults(user="7"), {}, 5)


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """The root directory of a server that has stopped, with one image on one layer."""
    path = tmp_path / "store"
    path.mkdir()
    await fill(path)
    return path


async def fill(path: Path, image_id: str = ID) -> None:
    database = Database(str(path / "criserver.db"))
    images = ImageRepository(database)
    layer = Layer(await images.layers.reserve(DIFF), DIFF, 70, 3)
    await images.layers.ready(layer)
    await images.add(image_id, RECORD, b"{}", [layer, layer], [TAG, DIGEST])
    database.close()
    (path / "layers" / str(layer.number)).mkdir(parents=True)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "own.db"))
    yield opened
    opened.close()


async def test_an_image_of_a_store(store: Path, database: Database) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    images = ImageRepository(database, [read_store(str(store), 3)])
    image = images.by_id(ID)
    assert image is not None
    assert (image.repo_tags, image.repo_digests, image.size, image.pinned) == ((TAG,), (DIGEST,), 70, True)
    assert image.defaults.user == "7"
    assert [layer_name(number) for number in image.layers] == ["s3/1", "s3/1"]
    assert list(images) == [image] == [images.by_reference(TAG)] == [images.by_reference(DIGEST)]
    assert (await images.config(ID), images.is_own(ID)) == (b"{}", False)
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before, "nothing is written, no file is made"


async def test_it_needs_no_lease_and_gets_no_names(store: Path, database: Database) -> None:
    images = ImageRepository(database, [read_store(str(store), 0)])
    await images.lease(ID, "container:a")
    await images.release("container:a")
    assert await images.holders() == {}
    with pytest.raises(NotFound):
        await images.lease(OTHER, "container:a")
    assert await images.name(ID, [TAG]) == images.by_id(ID)
    assert await images.name(ID, [TAG, "b.example/app:1"]) is None, "so it is pulled, and has rows of its own then"


async def test_own_rows_come_first(store: Path, database: Database) -> None:
    images = ImageRepository(database, [read_store(str(store), 0)])
    moved = await images.add(OTHER, ImageRecord(), b"own", [], [TAG])
    assert images.by_reference(TAG) == moved
    assert images.by_reference(DIGEST) == images.by_id(ID)
    own = await images.add(ID, ImageRecord(), b"own", [], [DIGEST])
    assert [images.by_id(ID), images.by_reference(DIGEST)] == [own, own]
    assert sorted(image.id for image in images) == [ID, OTHER]
    assert await images.config(ID) == b"own"
    await images.remove(ID)
    found = images.by_id(ID)
    assert found is not None
    assert found.layers == (-100, -100)


async def test_the_first_of_two_stores_counts(store: Path, tmp_path: Path, database: Database) -> None:
    (tmp_path / "second").mkdir()
    await fill(tmp_path / "second", OTHER)
    stores = [read_store(str(store), 0), read_store(str(tmp_path / "second"), 1)]
    images = ImageRepository(database, stores)
    named = images.by_reference(TAG)
    assert named is not None
    assert (named.id, len(list(images))) == (ID, 2)


async def test_an_image_without_its_layers_is_left_out(store: Path) -> None:
    shutil.rmtree(store / "layers")
    read = read_store(str(store), 0)
    assert (read.images, read.references, read.broken) == ({}, {}, (ID,))


async def test_what_cannot_be_used_says_why(store: Path, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="is no store: it has no criserver.db"):
        read_store(str(tmp_path), 0)
    (store / "criserver.db-wal").write_bytes(b"x")
    with pytest.raises(FailedPrecondition, match="was not closed in order"):
        read_store(str(store), 0)
    (store / "criserver.db-wal").unlink()
    with closing(sqlite3.connect(store / "criserver.db")) as connection:
        connection.execute("PRAGMA user_version=4711")
    with pytest.raises(FailedPrecondition, match="version 4711"):
        read_store(str(store), 0)
    (store / "criserver.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(FailedPrecondition, match="cannot be read"):
        read_store(str(store), 0)


async def test_a_record_that_does_not_decode(store: Path) -> None:
    with closing(sqlite3.connect(store / "criserver.db")) as connection:
        connection.execute("UPDATE images SET record = x'00'")
        connection.commit()
    with pytest.raises(FailedPrecondition, match="ImageRecord record is damaged"):
        read_store(str(store), 0)
