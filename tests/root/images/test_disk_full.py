"""A full disk while pulling: said so, nothing left, and the next image that fits is pulled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.errors import ResourceExhausted
from tests.support.image_service import node
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
    [("download", os.urandom(24 << 20)), ("unpack", bytes(24 << 20))],
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
