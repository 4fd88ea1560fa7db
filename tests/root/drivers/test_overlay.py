"""Container roots: real overlays, their layers, their remains."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from pathlib import Path

import pytest

from criserver.drivers.overlay import MAX_LAYERS, OverlayRootfs
from criserver.errors import FailedPrecondition
from criserver.kernel import mount

from .conftest import Place


@pytest.fixture
def driver(place: Place) -> OverlayRootfs:
    return OverlayRootfs(str(place.root), str(place.state))


def leftovers(place: Place) -> list[str]:
    found = [*place.root.glob("containers/*"), *place.state.glob("containers/*")]
    return [str(path) for path in found] + place.mounted()


async def test_upper_layers_win_and_stay_untouched(driver: OverlayRootfs, place: Place) -> None:
    place.layer(1, a="1", b="1")
    place.layer(2, b="2")
    root = Path(await driver.mount("c1", (1, 2)))
    assert root == Path(driver.path("c1"))
    assert ((root / "a").read_text(), (root / "b").read_text()) == ("1", "2")
    (root / "a").write_text("changed")
    (root / "b").unlink()
    assert (place.root / "layers/1/a").read_text() == "1"
    assert (place.root / "layers/2/b").read_text() == "2"


async def test_mount_unmount_remove_are_idempotent(driver: OverlayRootfs, place: Place) -> None:
    place.layer(1, a="1")
    root = await driver.mount("c1", (1,))
    Path(root, "new").write_text("kept")
    assert await driver.mount("c1", (1,)) == root
    assert len(place.mounted()) == 1
    assert await driver.list() == {"c1"}
    for _ in range(2):
        await driver.unmount("c1")
    assert place.mounted() == []
    assert await driver.list() == {"c1"}
    # Mounted volatile before: the same boot still knows all that was written.
    assert Path(await driver.mount("c1", (1,)), "new").read_text() == "kept"
    for _ in range(2):
        await driver.remove("c1")
    assert leftovers(place) == []
    assert await driver.list() == frozenset()


async def test_writable_layer_of_another_boot_is_dropped(driver: OverlayRootfs, place: Place) -> None:
    place.layer(1, a="1")
    Path(await driver.mount("c1", (1,)), "new").touch()
    await driver.unmount("c1")
    (place.root / "containers/c1/boot").write_text("another boot")
    assert os.listdir(await driver.mount("c1", (1,))) == ["a"]


async def test_root_directory_looks_as_in_the_image(driver: OverlayRootfs, place: Place) -> None:
    place.layer(1)
    layer = place.layer(2)
    layer.chmod(0o1751)
    os.chown(layer, 12, 34)
    seen = os.stat(await driver.mount("c1", (1, 2)))
    assert (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid) == (0o1751, 12, 34)


@pytest.mark.parametrize("readonly", [False, True])
async def test_image_without_layers(driver: OverlayRootfs, place: Place, readonly: bool) -> None:
    root = Path(await driver.mount("c1", (), readonly=readonly))
    assert list(root.iterdir()) == []
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    await driver.remove("c1")
    assert leftovers(place) == []


async def test_readonly_has_no_writable_layer(driver: OverlayRootfs, place: Place) -> None:
    place.layer(1, a="1")
    root = Path(await driver.mount("c1", (1,), readonly=True))
    assert (root / "a").read_text() == "1"
    with pytest.raises(OSError, match="Read-only file system"):
        (root / "b").touch()
    assert not (place.root / "containers/c1/upper").exists()
    await driver.remove("c1")
    assert leftovers(place) == []


async def test_as_many_layers_as_the_kernel_takes(driver: OverlayRootfs, place: Place) -> None:
    numbers = tuple(range(100_000, 100_000 + MAX_LAYERS - 1))
    for number in numbers:
        place.layer(number, **{f"f{number}": ""})
    container = "c" * 64
    assert len(os.listdir(await driver.mount(container, numbers))) == len(numbers)
    await driver.remove(container)
    assert leftovers(place) == []


async def test_missing_layer_leaves_nothing_mounted(driver: OverlayRootfs, place: Place) -> None:
    place.layer(1)
    for layers in ((1, 2), (2, 1)):
        with pytest.raises(FailedPrecondition, match="a layer of its image is missing"):
            await driver.mount("c1", layers)
    assert place.mounted() == []
    await driver.remove("c1")
    assert leftovers(place) == []


async def test_root_on_an_overlay_is_explained(place: Place) -> None:
    outer = OverlayRootfs(str(place.root), str(place.state))
    inner_root = Path(await outer.mount("outer", ()))
    inner = OverlayRootfs(str(inner_root), str(place.state))
    (inner_root / "layers/1").mkdir(parents=True)
    with pytest.raises(FailedPrecondition, match="itself on overlayfs"):
        await inner.mount("c1", (1,))


async def test_directories_are_private(driver: OverlayRootfs, place: Place) -> None:
    old = os.umask(0)
    try:
        await driver.mount("c1", ())
    finally:
        os.umask(old)
    for path in (place.root / "containers/c1", place.root / "containers/c1/work"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


async def test_flushing_is_left_out(driver: OverlayRootfs, place: Place) -> None:
    await driver.mount("c1", ())
    (entry,) = (entry for entry in mount.mounts() if entry.target == driver.path("c1"))
    assert {"volatile", "fsync=volatile"} & set(entry.super_options)
    durable = OverlayRootfs(str(place.root), str(place.state), volatile=False)
    await durable.mount("c2", ())
    (entry,) = (entry for entry in mount.mounts() if entry.target == driver.path("c2"))
    assert not {"volatile", "fsync=volatile"} & set(entry.super_options)


async def test_unmount_in_use_and_files_of_others(driver: OverlayRootfs, place: Place) -> None:
    place.layer(1, a="1")
    root = await driver.mount("c1", (1,))
    (place.state / "containers/c1/config.json").touch()
    (place.root / "containers/c1/volumes").mkdir()
    with Path(root, "a").open():
        await driver.remove("c1")
        assert place.mounted() == []
    assert os.listdir(place.state / "containers/c1") == ["config.json"]
    assert os.listdir(place.root / "containers/c1") == ["volumes"]
    assert await driver.list() == frozenset()


async def test_deep_writable_layer_is_removed(driver: OverlayRootfs, place: Place) -> None:
    place.busybox(1)
    root = await driver.mount("c1", (1,))
    # Nested as a container does it: each directory made from within the last.
    deep = "i=0; while [ $i -lt 3000 ]; do mkdir d; cd d; i=$((i+1)); done; echo x >file"
    subprocess.run([f"{root}/bin/busybox", "sh", "-c", deep], cwd=root, check=True)
    await driver.remove("c1")
    assert leftovers(place) == []


async def test_many_at_once(driver: OverlayRootfs, place: Place) -> None:
    place.layer(1, a="1")
    await asyncio.gather(*(driver.mount(f"c{number}", (1,)) for number in range(20)))
    assert len(place.mounted()) == 20
    await asyncio.gather(*(driver.remove(f"c{number}") for number in range(20)))
    assert leftovers(place) == []
