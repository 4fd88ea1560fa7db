"""Demands against seals: what a policy asks now, and under what an image came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.errors import PermissionDenied
from criserver.lifecycle.images.admissions import Admissions
from criserver.model.image import Image, ImageRecord
from criserver.model.reference import Reference, parse_reference
from criserver.ports.admission import Demand
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from criserver.state.seals import Seals
from tests.support.image_fakes import FakeAdmission, digest

APP, MIRROR, ID = "a.example/app:1", "b.example/app:1", digest("1")
SIGNED = Demand("signed", "signed")
OTHER_TAG = "a.example/app:2"
BY_DIGEST = f"a.example/app@{digest('f')}"


class House:
    def __init__(self, path: Path) -> None:
        self.database = Database(str(path / "test.db"))
        self.repository, self.policy = ImageRepository(self.database), FakeAdmission()
        self.admissions = Admissions(Seals(self.database), self.policy)

    async def image(self, *names: str) -> Image:
        return await self.repository.add(ID, ImageRecord(), b"{}", [], names)

    async def may(self, image: Image, asked: str = "") -> bool:
        try:
            await self.admissions.check(image, asked)
        except PermissionDenied:
            return False
        return True


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.database.close()


async def test_nothing_is_demanded(house: House) -> None:
    image = await house.image(APP)
    for asked in ("", APP, ID, ID[7:], ID[7:20], MIRROR):
        assert await house.may(image, asked)


async def test_a_name_that_is_rejected(house: House) -> None:
    image = await house.image(APP, MIRROR)
    house.policy.demands = {"a.example/app": None}
    assert not await house.may(image, APP)
    assert await house.may(image, MIRROR)
    for asked in ("", ID, ID[7:], ID[7:20]):
        assert await house.may(image, asked), "by id any of its names will do"
    house.policy.demands = {"a.example/app": None, "b.example/app": None}
    assert not await house.may(image, ID)


async def test_signatures_that_were_checked_at_the_pull(house: House) -> None:
    image = await house.image(APP, BY_DIGEST)
    house.policy.demands = {"a.example/app": "signed"}
    with pytest.raises(PermissionDenied, match="^SignatureValidationFailed: image a.example/app:1 was not pulled"):
        await house.admissions.check(image, APP)
    await house.admissions.seal(image, parse_reference(APP), SIGNED)
    for asked in (APP, BY_DIGEST, ID, ""):
        assert await house.may(image, asked)
    house.policy.demands = {"a.example/app": "signed by another key"}
    assert not await house.may(image, APP)
    house.policy.demands = {}
    assert await house.may(image, APP)


async def test_a_tags_own_demand_is_sealed_for_that_tag(house: House) -> None:
    image = await house.image(APP, BY_DIGEST, OTHER_TAG)
    house.policy.demands = {APP: "signed", BY_DIGEST: None}
    await house.admissions.seal(image, parse_reference(APP), SIGNED)
    assert await house.may(image, APP)
    assert await house.may(image, ID), "one of its names will do"
    assert not await house.may(image, BY_DIGEST)
    house.policy.demands = {APP: "signed", BY_DIGEST: "signed by another key"}
    await house.admissions.seal(image, parse_reference(APP), SIGNED)
    assert not await house.may(image, BY_DIGEST)


async def test_what_was_signed_for_a_tag_is_so_for_its_digest_and_for_no_other_tag(house: House) -> None:
    image = await house.image(APP, BY_DIGEST, OTHER_TAG)
    house.policy.demands = {"a.example/app": "signed as NAME"}
    demand = await house.admissions.demand(parse_reference(APP))
    await house.admissions.seal(image, parse_reference(APP), demand)
    assert await house.may(image, APP)
    assert await house.may(image, BY_DIGEST)
    assert not await house.may(image, OTHER_TAG)


async def test_a_seal_goes_with_the_image(house: House) -> None:
    image = await house.image(APP, BY_DIGEST)
    house.policy.demands = {"a.example/app": "signed"}
    await house.admissions.seal(image, parse_reference(APP), SIGNED)
    await house.repository.remove(ID)
    assert not await house.may(await house.image(APP, BY_DIGEST), APP)


async def test_an_image_without_a_name_is_measured_by_the_default(house: House) -> None:
    image = await house.image()
    house.policy.demands = {str(Reference("localhost", "nameless", digest=ID)): None}
    assert not await house.may(image, ID)
