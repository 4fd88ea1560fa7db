"""Bundles on disk: private, whole, gone when removed; and volumes, which a hostile image fills."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from criserver.drivers.runtime import bundles
from criserver.drivers.runtime.bundles import BundlesDriver
from criserver.errors import Internal, InvalidArgument, ResourceExhausted
from criserver.kernel import copying


@pytest.fixture
def driver(tmp_path: Path) -> BundlesDriver:
    return BundlesDriver(str(tmp_path / "root"), str(tmp_path / "state"))


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    directory = tmp_path / "rootfs"
    directory.mkdir()
    return directory


async def test_what_is_written_is_read_and_private(driver: BundlesDriver) -> None:
    for document in ({"ociVersion": "1.0.2"}, {"ociVersion": "1.0.2", "process": {"args": ["ü"]}}):
        await driver.write("c1", document)
        assert await driver.read("c1") == document
    assert os.listdir(driver.path("c1")) == ["config.json"]
    assert stat.S_IMODE(os.stat(driver.path("c1")).st_mode) == 0o700


@pytest.mark.parametrize("content", [None, b"", b'{"ociVersion": ', b"[]\xff"])
async def test_a_missing_or_damaged_document(driver: BundlesDriver, content: bytes | None) -> None:
    await driver.write("c1", {})
    path = Path(driver.path("c1"), "config.json")
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(Internal, match="OCI spec of container c1 cannot be read"):
        await driver.read("c1")
    if content is None:
        assert await driver.find("c1") is None
    else:
        with pytest.raises(Internal, match="OCI spec of container c1 cannot be read"):
            await driver.find("c1")


async def test_list_knows_either_directory_and_remove_takes_both(
    driver: BundlesDriver, rootfs: Path, tmp_path: Path
) -> None:
    assert await driver.list() == frozenset()
    await driver.write("written", {})
    await driver.volume("filled", 0, str(rootfs), "/data")
    await driver.write("both", {})
    await driver.volume("both", 0, str(rootfs), "/data")
    assert await driver.list() == {"written", "filled", "both"}
    for container_id in ("written", "filled", "both", "both", "never"):
        await driver.remove(container_id)
    assert await driver.list() == frozenset()
    assert os.listdir(tmp_path / "root/containers") == os.listdir(tmp_path / "state/containers") == []


async def test_a_volume_is_a_copy_of_what_the_image_has_there(driver: BundlesDriver, rootfs: Path) -> None:
    (rootfs / "data/sub").mkdir(parents=True)
    (rootfs / "data/sub/file").write_text("from the image")
    os.mkfifo(rootfs / "data/fifo")
    first = Path(await driver.volume("c1", 0, str(rootfs), "/data"))
    second = Path(await driver.volume("c1", 1, str(rootfs), "/data"))
    assert first != second and os.listdir(first) == ["sub"]
    (first / "sub/file").write_text("changed")
    assert (second / "sub/file").read_text() == (rootfs / "data/sub/file").read_text() == "from the image"


@pytest.mark.parametrize("destination", ["/missing", "/file", "/file/below"])
async def test_a_volume_where_the_image_has_no_directory_is_empty(
    driver: BundlesDriver, rootfs: Path, destination: str
) -> None:
    (rootfs / "file").touch()
    path = await driver.volume("c1", 0, str(rootfs), destination)
    assert os.listdir(path) == [] and stat.S_IMODE(os.stat(path).st_mode) == 0o755


@pytest.mark.parametrize("link", ["/secrets", "../../../../../../secrets"])
async def test_a_link_does_not_lead_out_of_the_image(
    driver: BundlesDriver, rootfs: Path, tmp_path: Path, link: str
) -> None:
    # CVE-2022-23648: containerd copied the host's files into the volume.
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_text("host")
    (rootfs / "data").symlink_to(f"{tmp_path}/secrets" if link == "/secrets" else link)
    assert os.listdir(await driver.volume("c1", 0, str(rootfs), "/data")) == []


async def test_a_link_in_a_circle(driver: BundlesDriver, rootfs: Path) -> None:
    (rootfs / "data").symlink_to("data")
    with pytest.raises(InvalidArgument, match="volume /data cannot be copied"):
        await driver.volume("c1", 0, str(rootfs), "/data")


async def test_a_tree_too_deep(driver: BundlesDriver, rootfs: Path) -> None:
    rootfs.joinpath("data", *["d"] * copying.LEVELS).mkdir(parents=True)
    with pytest.raises(InvalidArgument, match="nested deeper than"):
        await driver.volume("c1", 0, str(rootfs), "/data")


async def test_a_full_disk_is_told_as_one(driver: BundlesDriver, rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rootfs / "data").mkdir()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(bundles, "copy_tree", full)
    with pytest.raises(ResourceExhausted, match="No space left"):
        await driver.volume("c1", 0, str(rootfs), "/data")
