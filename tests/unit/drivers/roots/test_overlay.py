"""Options of overlay mounts, as a pure function."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.drivers.roots.overlay import MAX_LAYERS, MAX_OPTIONS, OverlayRootfs, mount_options
from criserver.errors import FailedPrecondition
from criserver.ports.rootfs import Rootfs

FIXED = "index=off,metacopy=off,redirect_dir=off"


def test_writable() -> None:
    options = mount_options(["3", "2", "1"], "../containers/c1", volatile=True)
    assert options == (f"lowerdir=3:2:1,upperdir=../containers/c1/upper,workdir=../containers/c1/work,volatile,{FIXED}")


def test_without_volatile_and_without_upper() -> None:
    assert "volatile" not in mount_options(["1"], "../containers/c1", volatile=False)
    assert mount_options(["2", "1"], "", volatile=True) == f"lowerdir=2:1,{FIXED}"


def test_as_many_layers_as_the_kernel_takes_fit_into_a_page() -> None:
    lower = [str(100_000 + number) for number in range(MAX_LAYERS)]
    options = mount_options(lower, f"../containers/{'a' * 64}", volatile=True)
    assert len(options) <= MAX_OPTIONS


def test_options_that_do_not_fit_are_an_error_not_a_wrong_mount() -> None:
    lower = [str(10**9 + number) for number in range(MAX_LAYERS)]
    with pytest.raises(FailedPrecondition, match="500 layers make mount options of .* bytes, over 4095"):
        mount_options(lower, "../containers/c1", volatile=True)


async def test_more_layers_than_the_kernel_takes(tmp_path: Path) -> None:
    driver: Rootfs = OverlayRootfs(str(tmp_path), str(tmp_path))
    with pytest.raises(FailedPrecondition, match="image has 500 layers"):
        await driver.mount("c1", tuple(range(500)))


async def test_nothing_there(tmp_path: Path) -> None:
    driver = OverlayRootfs(str(tmp_path), str(tmp_path))
    assert await driver.list() == frozenset()
    await driver.unmount("c1")
    await driver.remove("c1")
    assert driver.path("c1") == f"{tmp_path}/containers/c1/rootfs"
