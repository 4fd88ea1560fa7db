"""Container roots: real overlays, their layers, their remains."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from pathlib import Path

import pytest

from conmon.client import Zygote
from criserver.drivers.roots.namespaces import PinnedNamespaces
from criserver.drivers.roots.overlay import MAX_LAYERS, OverlayRootfs
from criserver.errors import FailedPrecondition
from criserver.kernel import mount
from criserver.model.image import layer_number, store_name
from criserver.model.security import Idmap, IdMapping, NamespaceMode, UserNamespace
from tests.root.drivers.conftest import Place


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


async def test_mapped_layers(driver: OverlayRootfs, place: Place, idmap: Idmap) -> None:
    layer = place.layer(1, a="1")
    os.chown(layer, 0, 7)
    os.chown(layer / "a", 5, 6)
    place.layer(2, b="2")
    root = Path(await driver.mount("c1", (2, 1), idmap=idmap))
    assert [(entry.fstype, entry.target) for entry in mount.mounts() if str(place.root) in entry.target] == []
    assert place.mounted()[0] == str(root), "the mapped view of the layers is nowhere to be seen"
    assert ids(root) == (100000, 200007) and ids(root / "a") == (100005, 200006) and ids(root / "b") == (100000, 200000)
    os.chown(root / "a", 100009, 200009)
    assert ids(place.root / "containers/c1/upper/a") == (100009, 200009), "what the container writes is the host's"
    assert ids(layer / "a") == (5, 6)
    await driver.remove("c1")
    assert [target for target in place.mounted() if "containers" in target] == []


async def test_pods_with_other_ids_share_layers(driver: OverlayRootfs, place: Place, idmap: Idmap) -> None:
    place.layer(1, a="1")
    pods = PinnedNamespaces(str(place.state), Zygote(place.state / "zygote"))
    other = UserNamespace(NamespaceMode.POD, (IdMapping(300000, 0, 10),), (IdMapping(400000, 0, 10),))
    await pods.pin("other", set(), userns=other)
    another = Idmap(pods.path("other", "user"), other)
    roots = [await driver.mount("c1", (1,), idmap=idmap), await driver.mount("c2", (1,), idmap=another)]
    roots.append(await driver.mount("c3", (1,)))
    assert [ids(Path(root, "a")) for root in roots] == [(100000, 200000), (300000, 400000), (0, 0)]
    assert {os.stat(Path(root, "a")).st_ino for root in roots} == {os.stat(place.root / "layers/1/a").st_ino}
    await pods.unpin("other")


async def test_mapped_layers_of_another_store(driver: OverlayRootfs, place: Place, idmap: Idmap) -> None:
    place.layer(1, a="1")
    other = place.root / "other/layers/3"
    other.mkdir(parents=True)
    (other / "b").write_text("3")
    (place.root / "layers" / store_name(0)).symlink_to(other.parent)
    number = layer_number(3, 0)
    root = Path(await driver.mount("c1", (number, 1), idmap=idmap))
    assert ids(root / "a") == ids(root / "b") == (100000, 200000)
    root = Path(await driver.mount("c2", (number,), idmap=idmap))
    assert ids(root / "b") == (100000, 200000) and ids(other / "b") == (0, 0)


async def test_the_pods_root_can_come_to_its_root_and_nobody_else(
    driver: OverlayRootfs, place: Place, idmap: Idmap
) -> None:
    place.layer(1, a="1")
    for parent in (place.state.parent, *place.state.parent.parents[:2]):
        parent.chmod(0o711)
    root = await driver.mount("c1", (1,), idmap=idmap)
    await driver.mount("c2", (1,))
    reading = ["cat", f"{root}/a"]
    assert subprocess.run(reading, user=100000, group=200000, extra_groups=[], capture_output=True, check=True).stdout
    for uid, gid in ((100000, 100000), (300000, 400000), (65534, 65534)):
        done = subprocess.run(reading, user=uid, group=gid, extra_groups=[], capture_output=True, check=False)
        assert b"Permission denied" in done.stderr
    assert stat.S_IMODE((place.state / "containers/c2").stat().st_mode) == 0o700
    for path in (place.state, place.state / "containers"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o711, "may be passed, not listed"


@pytest.mark.parametrize("layers", [(), (1,)])
async def test_mapped_and_empty(driver: OverlayRootfs, place: Place, idmap: Idmap, layers: tuple[int, ...]) -> None:
    place.layer(1)
    root = Path(await driver.mount("c1", layers, idmap=idmap))
    assert list(root.iterdir()) == [] and ids(root) == (100000, 200000)


async def test_a_failed_mapped_mount_leaves_nothing(driver: OverlayRootfs, place: Place, idmap: Idmap) -> None:
    place.layer(1)
    before = place.mounted()
    with pytest.raises(FailedPrecondition, match="a layer of its image is missing"):
        await driver.mount("c1", (2, 1), idmap=idmap)
    assert place.mounted() == before


def ids(path: Path) -> tuple[int, int]:
    """Owner and group on the host."""
    return path.stat().st_uid, path.stat().st_gid
