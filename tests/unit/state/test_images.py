"""Image rows: names that move, leases that hold, and a reload that finds what was there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.errors import FailedPrecondition, NotFound
from criserver.model.image import Image, ImageDefaults, ImageRecord, Layer
from criserver.state.db import Database
from criserver.state.images import ImageRepository

FIRST, SECOND = "sha256:" + "1" * 64, "sha256:" + "2" * 64
TAG, DIGEST = "a.example/app:1", "a.example/app@sha256:" + "f" * 64
RECORD = ImageRecord(ImageDefaults(user="7", env=("A=b",), labels={"l": "m"}), {"k": "v"}, 42)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "test.db"))
    yield opened
    opened.close()


@pytest.fixture
def images(database: Database) -> ImageRepository:
    return ImageRepository(database)


async def layer(images: ImageRepository, letter: str, size: int = 10) -> Layer:
    diff_id = "sha256:" + letter * 64
    made = Layer(await images.layers.reserve(diff_id), diff_id, size, 1)
    await images.layers.ready(made)
    return made


async def test_an_image_survives_a_reload(images: ImageRepository, database: Database) -> None:
    base, top = await layer(images, "b", 5), await layer(images, "c", 7)
    added = await images.add(FIRST, RECORD, b'{"config": 1}', [base, top, base], [TAG, DIGEST])
    assert added == Image(
        id=FIRST,
        repo_tags=(TAG,),
        repo_digests=(DIGEST,),
        size=12,
        layers=(base.number, top.number, base.number),
        defaults=RECORD.defaults,
        pulled_at=42,
        annotations={"k": "v"},
    )
    again = ImageRepository(database)
    assert list(again) == list(images) == [added]
    assert again.by_reference(TAG) == again.by_reference(DIGEST) == again.by_id(FIRST) == added
    assert again.starting_with("sha256:11") == [added]
    assert await again.config(FIRST) == b'{"config": 1}'
    assert await again.config(SECOND) == b""


async def test_a_tag_moves(images: ImageRepository, database: Database) -> None:
    await images.add(FIRST, RECORD, b"", [], [TAG, DIGEST])
    await images.add(SECOND, RECORD, b"", [], [TAG])
    for repository in (images, ImageRepository(database)):
        old, new = repository.by_id(FIRST), repository.by_id(SECOND)
        assert old is not None
        assert new is not None
        assert (old.repo_tags, old.repo_digests, new.repo_tags) == ((), (DIGEST,), (TAG,))
        assert repository.by_reference(TAG) == new


async def test_further_names(images: ImageRepository) -> None:
    await images.add(FIRST, RECORD, b"", [], [TAG])
    named = await images.name(FIRST, ["b.example/app:1", TAG])
    assert named is not None
    assert named.repo_tags == (TAG, "b.example/app:1")
    assert await images.name(SECOND, ["c.example/app:1"]) is None
    assert images.by_reference("c.example/app:1") is None


async def test_removal_takes_names_and_leases_and_leaves_layers(images: ImageRepository, database: Database) -> None:
    base = await layer(images, "b")
    await images.add(FIRST, RECORD, b"", [base], [TAG, DIGEST])
    await images.remove(FIRST)
    await images.remove(FIRST)
    for repository in (images, ImageRepository(database)):
        assert (list(repository), repository.by_reference(TAG)) == ([], None)
        assert list(repository.layers) == [base]
    assert database.read("SELECT * FROM image_references") == []


async def test_leases(images: ImageRepository, database: Database) -> None:
    await images.add(FIRST, RECORD, b"", [], [TAG])
    await images.lease(FIRST, "container:a")
    await images.lease(FIRST, "container:a")
    await images.lease(FIRST, "container:b")
    await images.release("container:b")
    with pytest.raises(FailedPrecondition, match="container:a"):
        await images.remove(FIRST)
    assert images.by_reference(TAG) is not None
    await ImageRepository(database).release_all_but(["container:c"])
    await images.remove(FIRST)
    with pytest.raises(NotFound, match="pull it again"):
        await images.lease(FIRST, "container:d")


async def test_removal_even_of_what_is_leased(images: ImageRepository, database: Database) -> None:
    await images.add(FIRST, RECORD, b"", [], [])
    await images.lease(FIRST, "container:a")
    await images.remove(FIRST, even_leased=True)
    assert database.read("SELECT * FROM image_leases") == []


async def test_a_record_that_does_not_decode_is_set_aside(images: ImageRepository, database: Database) -> None:
    await images.add(FIRST, RECORD, b"", [], [TAG])
    whole = await images.add(SECOND, RECORD, b"", [], [DIGEST])
    spoil = "UPDATE images SET record = x'00' WHERE id = ?"
    await database.write(lambda connection: connection.execute(spoil, (FIRST,)))
    again = ImageRepository(database)
    assert (list(again), again.by_reference(TAG)) == ([whole], None)
    assert "ImageRecord" in again.damaged[FIRST]
    moved = await again.add(SECOND, RECORD, b"", [], [TAG])
    assert moved.repo_tags == (TAG,)
    await again.remove(FIRST)
    assert ImageRepository(database).damaged == {}


async def test_who_holds_what(images: ImageRepository) -> None:
    for image_id in (FIRST, SECOND):
        await images.add(image_id, RECORD, b"", [], [])
    await images.lease(FIRST, "container:b")
    await images.lease(FIRST, "container:a")
    assert await images.holders() == {FIRST: "container:a"}
