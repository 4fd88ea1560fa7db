"""Image volumes as mounts: nothing is copied, nothing can be written, nothing is left."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conmon.client import Zygote
from criserver.drivers.roots.image_volumes import ImageVolumesDriver
from criserver.drivers.roots.namespaces import PinnedNamespaces
from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.kernel import mount
from criserver.model.security import Idmap
from criserver.ports.image_volumes import ImageVolumes
from tests.root.drivers.conftest import MAPPED


@pytest.fixture
def volumes(tmp_path: Path) -> ImageVolumes:
    for number, names in {1: ("a", "both"), 2: ("b", "both")}.items():
        layer = tmp_path / "root/layers" / str(number)
        layer.mkdir(parents=True)
        for name in names:
            (layer / name).write_text(f"layer {number}")
    (tmp_path / "root/layers/1/out").symlink_to("../../../../../../../etc/passwd")
    (tmp_path / "root/layers/1/in").symlink_to("/a")
    (tmp_path / "state").mkdir()
    return ImageVolumesDriver(str(tmp_path / "root"), str(tmp_path / "state"))


def below(path: Path) -> list[str]:
    return [each.target for each in mount.mounts() if each.target.startswith(str(path))]


async def test_layers_become_one_tree(volumes: ImageVolumes, tmp_path: Path) -> None:
    both = Path(await volumes.mount("c1", 0, (1, 2)))
    one = Path(await volumes.mount("c1", 1, (1,)))
    none = Path(await volumes.mount("c1", 2, ()))
    assert (both / "a").read_text() == "layer 1" and (both / "both").read_text() == "layer 2"
    assert (one / "both").read_text() == "layer 1" and list(none.iterdir()) == []
    for path in (both, one):
        with pytest.raises(OSError, match="Read-only file system"):
            (path / "new").touch()
    assert await volumes.list() == {"c1"}
    for _ in range(2):
        await volumes.remove("c1")
    assert await volumes.list() == frozenset() and below(tmp_path) == []
    assert (tmp_path / "root/layers/1/both").read_text() == "layer 1"


async def test_what_cannot_be_mounted(volumes: ImageVolumes, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="cannot mount an image volume of container c1"):
        await volumes.mount("c1", 0, (1, 99))
    with pytest.raises(FailedPrecondition, match="600 layers"):
        await volumes.mount("c1", 1, tuple(range(600)))
    await volumes.remove("c1")
    assert os.listdir(tmp_path / "state/volumes") == []


async def test_paths_inside(volumes: ImageVolumes) -> None:
    volume = await volumes.mount("c1", 0, (1, 2))
    assert await volumes.sub_path(volume, "in") == f"{volume}/a", "links are those of the image"
    for path in ("absent", "out"):
        with pytest.raises(InvalidArgument, match="^ImageVolumeMountFailed: image_sub_path"):
            await volumes.sub_path(volume, path)
    await volumes.remove("c1")


@pytest.fixture
async def idmap(tmp_path: Path) -> AsyncIterator[Idmap]:
    """A pinned user namespace."""
    zygote = Zygote(tmp_path / "zygote")
    driver = PinnedNamespaces(str(tmp_path / "state"), zygote)
    await driver.pin("mapped", set(), userns=MAPPED)
    yield Idmap(driver.path("mapped", "user"), MAPPED)
    await driver.unpin("mapped")
    await zygote.quit()


async def test_mapped(volumes: ImageVolumes, tmp_path: Path, idmap: Idmap) -> None:
    os.chown(tmp_path / "root/layers/1/a", 5, 6)
    for number, layers in enumerate(((1,), (1, 2))):
        volume = Path(await volumes.mount("c1", number, layers, idmap))
        status = (volume / "a").stat()
        assert (status.st_uid, status.st_gid) == (100005, 200006)
        with pytest.raises(OSError, match="Read-only file system"):
            (volume / "new").touch()
        (entry,) = [each for each in mount.mounts() if each.target == str(volume)]
        assert {"ro", "nosuid", "nodev"} <= set(entry.options)
    assert (tmp_path / "root/layers/1/a").stat().st_uid == 5
    await volumes.remove("c1")
    assert [target for target in below(tmp_path) if "volumes" in target] == []
