"""Fixtures: a registry for the whole session, filled with small images, and a fresh image half per test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support import registry as registries
from tests.support.image_service import Node, node
from tests.support.images import busybox_tree, file, image
from tests.support.registry import Registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """docker-registry with docker.io/library/busybox and what tests push."""
    lacking = registries.missing() or ("" if shutil.which("skopeo") else "skopeo is not installed")
    if lacking:
        pytest.skip(lacking)
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        running.push("library/busybox", image(busybox_tree(), config={"Cmd": ["sh"]}), "latest", "other")
        running.push("small", image({"hello": file("hello\n")}, config={"User": "1002:grp"}), "1")
        yield running


@pytest.fixture(scope="session")
def registries_conf(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """registries.conf that leads docker.io and others to the registry."""
    return registry.registries_conf(tmp_path_factory.mktemp("conf") / "registries.conf")


@pytest.fixture
async def server(tmp_path: Path, registries_conf: Path) -> AsyncIterator[Node]:
    """A node that knows nothing yet."""
    async with node(tmp_path / "root", registries_conf) as running:
        yield running
