"""Pull, resolve, remove, recover: what the service decides, over fakes of registry and trees."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from criserver.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from criserver.lifecycle.images.admissions import Admissions
from criserver.lifecycle.images.images import ImageService
from criserver.lifecycle.images.pulls import Sources
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.tasks import Tasks
from criserver.model.image import Credentials
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from criserver.state.seals import Seals
from tests.support.image_fakes import FakeAdmission, FakeLayers, FakeRegistry, FullNames, NoArchives, digest, fetched

APP = "a.example/app:1"


class House:
    def __init__(self, path: Path) -> None:
        self.path, self.registry, self.trees = path, FakeRegistry(), FakeLayers()
        self.admission = FakeAdmission()
        self.images = self.start()

    def start(self, pinned: Sequence[str] = ()) -> ImageService:
        """A (new) server over the same database, registry and trees."""
        self.database = Database(str(self.path / "test.db"))
        repository = ImageRepository(self.database)
        operations = Operations(Tasks())
        return ImageService(
            repository,
            Sources(self.registry, NoArchives(), FullNames()),
            self.trees,
            operations,
            Admissions(Seals(self.database), self.admission),
            pinned=lambda: tuple(pinned),
            clock=lambda: 7,
        )

    def publish(self, reference: str, image: str, *layers: str, manifest: str = "f") -> None:
        self.registry.images[reference] = (digest(manifest), fetched(image, *layers))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.database.close()


async def test_pulled_it_is_known_by_every_name(house: House) -> None:
    house.publish(APP, "1", "b", manifest="f")
    pulled = await house.images.pull(APP)
    assert (pulled.id, pulled.repo_tags) == (digest("1"), (APP,))
    assert (pulled.size, pulled.pulled_at) == (100, 7)
    by_digest = f"a.example/app@{digest('f')}"
    for name in (APP, by_digest, f"{APP}@{digest('f')}", pulled.id, "1" * 64, "1" * 13, "sha256:111"):
        assert house.images.resolve(name) == pulled
    assert house.images.list() == house.images.list(APP) == (pulled,)
    assert house.images.list("other") == ()
    for name in ("2222", "0" * 64, digest("0"), "unknown"):
        assert house.images.resolve(name) is None
    with pytest.raises(InvalidArgument):
        house.images.resolve("NOT valid")


async def test_a_short_id_of_several_images_is_refused(house: House) -> None:
    first, second = fetched("1"), fetched("1")
    object.__setattr__(second, "id", "sha256:" + "1" * 63 + "2")
    house.registry.images = {"a.example/a:1": (digest("e"), first), "a.example/b:1": (digest("f"), second)}
    await house.images.pull("a.example/a:1")
    await house.images.pull("a.example/b:1")
    with pytest.raises(InvalidArgument, match="ambiguous"):
        house.images.resolve("1111")


async def test_the_same_pull_is_joined_and_others_are_not(house: House) -> None:
    house.publish(APP, "1", "b", manifest="x")
    house.registry.hold.clear()
    pulls = [house.images.pull(APP) for _ in range(10)]
    pulls += [house.images.pull(APP, Credentials("joe", "pw")) for _ in range(3)]
    running = asyncio.gather(*pulls)
    await asyncio.sleep(0.05)
    house.registry.hold.set()
    assert len({pulled.id for pulled in await running}) == 1
    assert house.registry.credentials == [None, Credentials("joe", "pw")]
    assert house.trees.unpacked == [digest("b")]


async def test_a_caller_that_gives_up_stops_nobody(house: House) -> None:
    house.publish(APP, "1", "b")
    house.registry.hold.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(house.images.pull(APP), 0.01)
    joined = asyncio.create_task(house.images.pull(APP))  # noqa: TID251 - held here
    await asyncio.sleep(0.01)
    house.registry.hold.set()
    assert (await joined).id == digest("1")
    assert house.registry.fetches == 1


@pytest.mark.parametrize("manifest", ["f", "x"])
async def test_what_is_here_is_asked_for_but_not_fetched(house: House, manifest: str) -> None:
    house.publish(APP, "1", "b", manifest=manifest)
    await house.images.pull(APP)
    await house.images.pull(APP)
    assert (len(house.registry.credentials), house.registry.fetches) == (2, 1)


async def test_one_image_from_two_registries(house: House) -> None:
    house.publish(APP, "1", "b")
    house.publish("b.example/app:1", "1", "b")
    await house.images.pull(APP)
    pulled = await house.images.pull("b.example/app:1")
    assert pulled.repo_tags == (APP, "b.example/app:1")
    await house.images.remove("b.example/app:1")
    assert (house.images.list(), house.trees.trees) == ((), {})


async def test_what_fails_leaves_nothing_and_can_be_tried_again(house: House) -> None:
    with pytest.raises(NotFound, match="manifest unknown"):
        await house.images.pull(APP)
    house.publish(APP, "1", "b")
    house.trees.bad[digest("b")] = NotFound("blob")
    with pytest.raises(NotFound, match="blob"):
        await house.images.pull(APP)
    assert house.images.list() == ()
    assert (await house.images.pull(APP)).id == digest("1")


async def test_removal_is_repeatable_and_heeds_leases(house: House) -> None:
    house.publish(APP, "1", "b")
    pulled = await house.images.pull(APP)
    await house.images.lease(pulled.id, "container:c")
    with pytest.raises(FailedPrecondition, match="container:c"):
        await house.images.remove(APP)
    assert house.trees.trees
    await house.images.release("container:c")
    await asyncio.gather(*(house.images.remove(name) for name in (APP, pulled.id, APP, "unknown")))
    assert (house.images.list(), house.trees.trees) == ((), {})


async def test_removed_while_it_is_pulled_again(house: House) -> None:
    house.publish(APP, "1", "b")
    for _ in range(20):
        await house.images.pull(APP)
        await asyncio.gather(house.images.remove(APP), house.images.pull(APP))
        for image in house.images.list():
            assert set(image.layers) <= set(house.trees.trees)


async def test_pinned(house: House) -> None:
    house.publish("registry.k8s.io/pause:3.10", "1")
    house.publish("docker.io/library/busybox:latest", "2")
    house.publish(APP, "3")
    house.database.close()
    images = house.start(pinned=["registry.k8s.io/pause:*", "busybox"])
    for name in tuple(house.registry.images):
        await images.pull(name)
    assert {image.id for image in images.list() if image.pinned} == {digest("1"), digest("2")}


async def test_usage_counts_each_layer_once(house: House) -> None:
    house.publish(APP, "1", "b", "c")
    house.publish("a.example/other:1", "2", "b")
    await house.images.pull(APP)
    await house.images.pull("a.example/other:1")
    usage = house.images.usage()
    assert (usage.mountpoint, usage.used_bytes, usage.inodes_used, usage.timestamp) == ("/root/layers", 200, 6, 7)


async def test_recovery_drops_what_is_damaged_alone(house: House) -> None:
    house.publish(APP, "1", "b", "c")
    house.publish("a.example/other:1", "2", "b")
    damaged = await house.images.pull(APP)
    whole = await house.images.pull("a.example/other:1")
    await house.images.lease(damaged.id, "container:gone")
    house.database.close()
    del house.trees.trees[damaged.layers[1]]
    images = house.start()
    await images.recover()
    assert house.registry.cleared
    assert images.list() == (whole,)
    assert set(house.trees.trees) == set(whole.layers)


async def test_recovery_drops_rows_that_do_not_decode(house: House) -> None:
    house.publish(APP, "1", "b")
    await house.images.pull(APP)
    await house.database.write(lambda connection: connection.execute("UPDATE images SET record = x'00'"))
    house.database.close()
    images = house.start()
    await images.recover()
    assert (images.list(), house.trees.trees) == ((), {})
    assert (await images.pull(APP)).repo_tags == (APP,)


async def test_recovery_ends_leases_of_holders_that_are_gone(house: House) -> None:
    house.publish(APP, "1")
    pulled = await house.images.pull(APP)
    await house.images.lease(pulled.id, "container:gone")
    await house.images.recover()
    with pytest.raises(FailedPrecondition):
        await house.images.remove(APP)
    await house.images.recover([])
    await house.images.remove(APP)
    assert house.images.list() == ()


async def test_signatures_are_looked_at_again_when_others_are_demanded(house: House) -> None:
    house.publish(APP, "1", "b")
    image = await house.images.pull(APP)
    await house.images.pull(APP)
    assert house.registry.fetches == 1
    house.admission.demands = {"a.example/app": "signed"}
    with pytest.raises(PermissionDenied):
        await house.images.admit(image, APP)
    for _ in range(2):
        assert await house.images.pull(APP) == image
        assert (house.registry.fetches, len(house.trees.unpacked)) == (2, 1), "no layer is fetched for that"
        await house.images.admit(image, APP)


async def test_an_image_gets_no_name_that_its_signatures_do_not_allow(house: House) -> None:
    house.publish(APP, "1", "b")
    image = await house.images.pull(APP)
    house.admission.demands = {"b.example": "signed", "b.example/app": "signed"}

    house.publish("b.example/app:1", "1", "b")
    house.registry.hold.clear()
    pulling = asyncio.gather(house.images.pull("b.example/app:1"))
    await asyncio.sleep(0.05)
    resolved = house.images.resolve(image.id)
    assert resolved is not None
    assert resolved.repo_tags == (APP,)
    house.registry.hold.set()
    await pulling
    house.admission.demands["b.example/app"] = None
    fetches = house.registry.fetches
    with pytest.raises(PermissionDenied, match="is rejected"):
        await house.images.pull("b.example/app:1")
    assert house.registry.fetches == fetches


async def test_a_short_name_means_what_is_here_and_nothing_is_guessed(house: House) -> None:
    assert house.images.resolve("ambiguous") is None
    with pytest.raises(InvalidArgument, match="ambiguous"):
        await house.images.pull("ambiguous")
    house.publish("b.example/ambiguous:latest", "1", "b")
    pulled = await house.images.pull("b.example/ambiguous")
    assert house.images.resolve("ambiguous") == pulled
