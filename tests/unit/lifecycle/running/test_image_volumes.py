"""Image volumes live and end with their container."""

from __future__ import annotations

import pytest

from criserver.errors import CriError, NotFound, RuntimeFailed
from criserver.lifecycle.running.container_steps import image_holder
from criserver.model.container import ImageSpec, Mount
from tests.support.fakes import IMAGE
from tests.support.world import House, container, pod

MOUNTS = (
    Mount("/whole", image=ImageSpec(IMAGE.id)),
    Mount("/part", image=ImageSpec(IMAGE.id), image_sub_path="etc"),
)


async def test_they_come_and_go_with_the_container(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container(mounts=MOUNTS))
    assert ("volumes", container_id) in house.world.things
    assert ("lease", image_holder(container_id)) in house.world.things
    spec = await house.powers.bundles.read(container_id)
    sources = {mount["destination"]: mount["source"] for mount in spec["mounts"]}
    assert sources["/whole"] == f"/volumes/{container_id}/0" and sources["/part"] == f"/volumes/{container_id}/1/etc"
    assert house.containers.get(container_id).image_volumes == {"/whole": IMAGE.id, "/part": IMAGE.id}
    await house.lives.remove(container_id)
    assert not house.world.of("volumes") and not house.world.of("lease")


@pytest.mark.parametrize("method", ["ImageVolumes.mount", "Bundles.write", "Monitors.create"])
async def test_a_create_that_fails_leaves_none(house: House, method: str) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    house.world.fail[method] = RuntimeFailed("no")
    with pytest.raises(CriError, match="no"):
        await house.lives.create(sandbox_id, container(mounts=MOUNTS))
    assert not house.world.of("volumes") and not house.world.of("lease") and len(house.containers) == 0


async def test_an_image_that_is_not_here_is_told_in_the_kubelets_word(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    before = set(house.world.things)
    with pytest.raises(NotFound, match=r"^ImageVolumeMountFailed: config\.mounts /absent: image 'absent'"):
        await house.lives.create(sandbox_id, container(mounts=(Mount("/absent", image=ImageSpec("absent")),)))
    assert house.world.things == before


async def test_volumes_that_no_row_claims_are_given_back(house: House) -> None:
    house.world.things.add(("volumes", "stray"))
    await house.garbage.run()
    assert not house.world.of("volumes")
