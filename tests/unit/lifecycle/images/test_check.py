"""Damaged images are told and mended one by one, over fakes of registry and trees; left-overs go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.errors import Internal, NotFound, Unavailable
from criserver.lifecycle.images.check import ImageCheck
from criserver.lifecycle.images.doubts import Doubts
from criserver.lifecycle.images.images import ImageService
from criserver.lifecycle.images.pulls import Sources
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.tasks import Tasks
from criserver.model.findings import Verdict
from criserver.model.image import ImageRecord
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from tests.support.image_fakes import FakeLayers, FakeRegistry, FullNames, NoArchives, digest, fetched, unsigned

APP, TOOL = "a.example/app:1", "a.example/tool:1"


class FakeWorkspaces:
    """Names that nobody uses."""

    def __init__(self) -> None:
        self.strays: frozenset[str] = frozenset()

    async def left_over(self) -> frozenset[str]:
        return self.strays

    async def discard(self, names: frozenset[str]) -> None:
        self.strays -= names


class House:
    """An app and a tool on a common base, and a check of them."""

    def __init__(self, path: Path) -> None:
        self.database = Database(str(path / "test.db"))
        self.registry, self.trees, self.workspaces = FakeRegistry(), FakeLayers(), FakeWorkspaces()
        self.repository = ImageRepository(self.database)
        sources = Sources(self.registry, NoArchives(), FullNames())
        self.doubts = Doubts()
        self.service = ImageService(
            self.repository, sources, self.trees, Operations(Tasks()), unsigned(self.database), doubts=self.doubts
        )
        self.check = ImageCheck(self.service, self.repository, self.trees, self.workspaces, self.doubts)
        self.publish(APP, "1", "b", "c", manifest="e")
        self.publish(TOOL, "2", "b", "d", manifest="f")

    def publish(self, reference: str, image: str, *layers: str, manifest: str) -> None:
        """By tag and by digest."""
        found = digest(manifest), fetched(image, *layers)
        self.registry.images |= {reference: found, f"{reference.rpartition(':')[0]}@{found[0]}": found}

    async def pulled(self) -> tuple[str, str]:
        return (await self.service.pull(APP)).id, (await self.service.pull(TOOL)).id

    def damage(self, letter: str) -> None:
        self.trees.altered = {self.number(letter): "sizes have changed"}

    def number(self, letter: str) -> int:
        layer = self.repository.layers.find(digest(letter))
        assert layer is not None
        return layer.number


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.database.close()


async def test_in_order(house: House) -> None:
    assert await house.check.check(0) == ()
    await house.pulled()
    assert await house.check.check(0) == ()


async def test_only_the_damaged_image_is_pulled_again(house: House) -> None:
    app, tool = await house.pulled()
    house.damage("c")
    (finding,) = findings = await house.check.check(0)
    assert (finding.verdict, finding.what, finding.owner, finding.key) == (Verdict.DAMAGED, "image", APP, app)
    assert finding.where == f"/root/layers/{house.number('c')}: sizes have changed"
    before, old = house.service.resolve(tool), house.number("c")
    assert await house.check.repair(findings) == [f"image {APP} is pulled again"]
    assert house.number("c") > old
    assert house.service.resolve(tool) == before
    image = house.service.resolve(APP)
    assert image is not None
    assert (image.id, image.repo_tags) == (app, (APP,))
    assert await house.check.check(0) == ()


async def test_a_damaged_common_layer_is_unpacked_anew_once(house: House) -> None:
    await house.pulled()
    house.damage("b")
    old = house.number("b")
    house.trees.unpacked.clear()
    done = await house.check.repair(await house.check.check(0))
    assert done == [f"image {APP} is pulled again", f"image {TOOL} is pulled again"]
    assert house.number("b") > old
    assert house.trees.unpacked.count(digest("b")) == 1
    assert await house.check.check(0) == ()


async def test_a_tree_that_is_gone(house: House) -> None:
    await house.pulled()
    await house.trees.remove(frozenset({house.number("d")}))
    (finding,) = await house.check.check(0)
    assert (finding.owner, finding.where.endswith("its directory is gone")) == (TOOL, True)


async def test_an_image_in_use_stays_and_its_neighbour_too_while_they_share_the_damage(house: House) -> None:
    app, tool = await house.pulled()
    await house.service.lease(app, "container:1")
    house.damage("b")
    done = await house.check.repair(await house.check.check(0))
    why = "is left as it is: container:1 uses what is damaged; remove that first"
    assert done == [f"image {APP} {why}", f"image {TOOL} {why}"]
    assert house.service.resolve(app) is not None
    house.damage("d")
    assert await house.check.repair(await house.check.check(0)) == [f"image {TOOL} is pulled again"]
    assert house.service.resolve(tool) is not None


async def test_what_cannot_be_pulled_is_removed(house: House) -> None:
    await house.pulled()
    house.damage("c")
    findings = await house.check.check(0)
    house.registry.images.clear()
    (line,) = await house.check.repair(findings)
    assert line.startswith(f"image {APP} is removed: it cannot be pulled: ")
    assert house.service.resolve(APP) is None
    assert house.service.resolve(TOOL) is not None


async def test_an_image_without_a_registry_is_removed(house: House) -> None:
    image = await house.service.pull(APP)
    await house.repository.remove(image.id)
    async with house.service._pool.hold(fetched("1", "b", "c").layers) as layers:
        await house.repository.add(image.id, ImageRecord(), b"{}", layers, [APP])
    house.damage("c")
    (line,) = await house.check.repair(await house.check.check(0))
    assert line == f"image {APP} is removed: no registry is known for it; load it again"


async def test_a_tag_that_was_moved_on_stays_where_it_is(house: House) -> None:
    app, _ = await house.pulled()
    house.publish(APP, "3", "d", manifest="a")
    newer = await house.service.pull(APP)
    house.damage("c")
    await house.check.repair(await house.check.check(0))
    found = house.service.resolve(APP)
    assert found is not None
    assert found.id == newer.id
    old = house.service.resolve(app)
    assert old is not None
    assert old.repo_tags == ()


async def test_left_over_trees_and_pull_directories(house: House) -> None:
    await house.pulled()
    house.trees.strays, house.workspaces.strays = frozenset({".tmp-9", "77"}), frozenset({"pull-x"})
    findings = await house.check.check(0)
    assert {(each.what, each.where) for each in findings} == {
        ("layer tree", ".tmp-9"), ("layer tree", "77"), ("pull directory", "pull-x"),
    }  # fmt: skip
    assert all(each.verdict is Verdict.LEFT_OVER for each in findings)
    assert len(await house.check.repair(findings)) == 3
    assert await house.check.check(0) == ()


async def test_a_registry_that_is_down(house: House) -> None:
    await house.pulled()
    house.damage("c")
    findings = await house.check.check(0)

    async def down(*_: object) -> None:
        raise Unavailable("dial tcp: refused")

    house.service.pull = down  # type: ignore[method-assign, assignment]
    assert await house.check.repair(findings) == [f"image {APP} is removed: it cannot be pulled: dial tcp: refused"]


async def test_after_a_power_loss_an_image_is_used_once_it_was_looked_at(house: House) -> None:
    await house.pulled()
    house.damage("c")
    check = house.check.after_power_loss()
    whole, damaged = house.service.resolve(TOOL), house.service.resolve(APP)
    assert whole is not None
    assert damaged is not None
    await house.service.lease(damaged.id, "container:of the time before")
    admitted = [asyncio.get_running_loop().create_task(house.service.admit(each, "")) for each in (whole, damaged)]
    await asyncio.sleep(0.01)
    assert not any(each.done() for each in admitted)
    assert await check is True
    assert await admitted[0] == whole
    mended = await admitted[1]
    assert mended.id == damaged.id
    assert house.number("c") in mended.layers
    assert not set(mended.layers) & set(house.trees.altered)


async def test_what_is_sound_is_not_held_up_by_what_is_not(house: House) -> None:
    await house.pulled()
    house.damage("c")
    house.trees.slow.add(digest("c"))  # when it is pulled again
    check = asyncio.get_running_loop().create_task(house.check.after_power_loss())
    whole = house.service.resolve(TOOL)
    assert whole is not None
    assert await house.service.admit(whole, "") == whole
    assert not check.done()
    check.cancel()
    await asyncio.wait([check])


async def test_what_was_damaged_and_cannot_be_had_again_is_said_to_whoever_waits(house: House) -> None:
    await house.pulled()
    house.damage("c")
    house.registry.images.clear()
    check, damaged = house.check.after_power_loss(), house.service.resolve(APP)
    assert damaged is not None
    admitted = asyncio.get_running_loop().create_task(house.service.admit(damaged, APP))
    assert await check is True
    with pytest.raises(NotFound, match=f"image {APP} was damaged .*: pull it"):
        await admitted


async def test_a_check_that_fails_holds_nobody_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.pulled()

    async def fail(_: object) -> None:
        raise Internal("the helper cannot be started")

    monkeypatch.setattr(house.trees, "examine", fail)
    check, image = house.check.after_power_loss(), house.service.resolve(APP)
    assert image is not None
    assert await check is False
    assert await house.service.admit(image, "") == image
