"""What one pull does in which order, and what it says about itself; the shared side is in test_images.py."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from criserver.lifecycle.images.layer_pool import LayerPool
from criserver.lifecycle.images.pulls import Pulls, Sources
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.tasks import Tasks
from criserver.ports.registry import FetchedImage
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from tests.support.image_fakes import FakeLayers, FakeRegistry, FullNames, digest, fetched, unsigned

APP = "a.example/app:1"


@dataclass
class OneArchived:
    names: tuple[str, ...]
    image: FetchedImage

    async def fetch(self) -> FetchedImage:
        return self.image


class TwoArchived:
    """An archive with a named image and one without a name."""

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator[tuple[OneArchived, ...]]:
        yield OneArchived((APP, "busybox"), fetched("1", "b")), OneArchived((), fetched("2", "b", "c"))


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry({APP: (digest("f"), fetched("1", "b", "c"))})


@pytest.fixture
def pulls(tmp_path: Path, registry: FakeRegistry) -> Iterator[Pulls]:
    database = Database(str(tmp_path / "test.db"))
    repository = ImageRepository(database)
    pool = LayerPool(repository, FakeLayers())
    sources = Sources(registry, TwoArchived(), FullNames(), 2)
    yield Pulls(repository, sources, pool, Operations(Tasks()), unsigned(database), lambda: 7)
    database.close()


async def test_a_pull_tells_how_long_each_stage_took(pulls: Pulls, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        pulled = await pulls.pull(APP, None)
        await pulls.pull(APP, None)
    first, second = caplog.records
    assert (first.message, vars(first)["image"], vars(first)["image_id"]) == ("image is pulled", APP, pulled.id)
    assert [part.partition(":")[0] for part in vars(first)["stages"].split(",")] == [
        "resolve",
        "fetch",
        "unpack",
        "commit",
    ]
    assert vars(second)["stages"].startswith("resolve:")
    assert "fetch" not in vars(second)["stages"]


async def test_names_are_the_tag_and_the_digest_that_was_resolved(pulls: Pulls) -> None:
    pulled = await pulls.pull(APP, None)
    assert (pulled.repo_tags, pulled.repo_digests) == ((APP,), (f"a.example/app@{digest('f')}",))


async def test_an_archive_may_hold_several_images_and_names(pulls: Pulls) -> None:
    first, second = await pulls.load("/archive")
    assert first.repo_tags == (APP, "docker.io/library/busybox:latest")
    assert (second.id, second.repo_tags, second.repo_digests) == (digest("2"), (), ())
    assert first.layers[0] == second.layers[0]


async def test_only_so_many_run_at_a_time_and_all_are_listed(pulls: Pulls, registry: FakeRegistry) -> None:
    names = [f"a.example/app:{number}" for number in range(5)]
    registry.images = {name: (digest("f"), fetched("1", "b")) for name in names}
    registry.hold.clear()
    running = asyncio.gather(*(pulls.pull(name, None) for name in names))
    await asyncio.sleep(0.05)
    assert sorted(each.stage for each in pulls.running) == ["fetch", "fetch", "waiting", "waiting", "waiting"]
    assert {each.image for each in pulls.running} == set(names)
    registry.hold.set()
    await running
    assert list(pulls.running) == []
    assert registry.new == [True] * 5
    await pulls.pull(names[0], None)
    assert registry.new[-1] is False


async def test_a_namespace_counts_where_it_has_credentials_of_its_own(pulls: Pulls, registry: FakeRegistry) -> None:
    await pulls.pull(APP, None, "team")
    pulls._sources = replace(pulls._sources, namespaced=True)
    await asyncio.gather(pulls.pull(APP, None, "team"), pulls.pull(APP, None, "other"), pulls.pull(APP, None, "team"))
    assert registry.namespaces == ["", "team", "other"]
