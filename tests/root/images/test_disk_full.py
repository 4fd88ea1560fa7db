"""A full disk while pulling: said so, nothing left, and the next image that fits is pulled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.errors import CriError, ResourceExhausted
from tests.support.image_service import Node, node
from tests.support.images import file, image
from tests.support.registry import Registry

pytest_plugins = ("tests.support.image_fixtures",)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "criserver-test", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [("download", os.urandom(24 << 20)), ("unpack", b"x" * (24 << 20))],
    ids=["while downloading", "while unpacking"],
)
async def test_disk_full(
    small_disk: Path, registries_conf: Path, registry: Registry, name: str, content: bytes
) -> None:
    registry.push(f"full-{name}", image({"small": file("s")}, {"data": file(content)}), "1")
    async with node(small_disk / "root", registries_conf) as server:
        with pytest.raises(ResourceExhausted, match=r"[Nn]o space left"):
            await server.images.pull(f"registry.k8s.io/full-{name}:1")
        server.assert_empty()
        await server.images.pull("registry.k8s.io/small:1")


def fill(disk: Path, free: int) -> Path:
    """Leave `free` bytes of the disk, and at least as many as one page."""
    room = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(max(room.f_bavail * room.f_frsize - free, 0)))
    return filler


def assert_honest(server: Node) -> None:
    """What is listed is there whole, what is there is listed, and no directory of a pull is left."""
    rows = {str(layer.number) for layer in server.repository.layers}
    assert {str(number) for row in server.images.list() for number in row.layers} == rows
    assert server.layer_directories() == rows
    assert server.workspaces() == set()


@pytest.mark.parametrize("free", [0, 8, 24, 60, 150, 300, 700, 1500, 3000, 5000, 9000])
async def test_a_disk_that_fills_up_at_whatever_stage(
    small_disk: Path, registries_conf: Path, registry: Registry, free: int
) -> None:
    """`free` KiB are left: not enough for the database, a manifest, a download, one layer, both, or enough."""
    contents = {f"f{n}": file(os.urandom(40_000)) for n in range(30)}
    registry.push("filling", image(contents, {"zeros": file(bytes(2_000_000))}), "1")
    async with node(small_disk / "root", registries_conf) as server:
        filler = fill(small_disk, free << 10)
        try:
            pulled = await server.images.pull("registry.k8s.io/filling:1")
        except CriError as error:
            assert isinstance(error, ResourceExhausted), error
            assert server.images.list() == ()
        else:
            assert (server.tree(pulled.id, 1) / "zeros").stat().st_size == 2_000_000
        assert_honest(server)
        filler.unlink()
        again = await server.images.pull("registry.k8s.io/filling:1")
        assert (server.tree(again.id, 0) / "f29").stat().st_size == 40_000
        assert_honest(server)
        await server.images.remove(again.id)
        server.assert_empty()
