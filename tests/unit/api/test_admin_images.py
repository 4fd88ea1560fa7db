"""The operator's calls about images, over a real socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from criserver.api.admin import admin, call
from criserver.api.admin_images import ImageAdmin
from criserver.errors import NotFound
from criserver.lifecycle.images.images import ImageService
from criserver.lifecycle.images.progress import Progress
from criserver.model.image import Image, ImageDefaults
from tests.support.grpc_server import serving


class Loader:
    """What is called of the image service."""

    async def load(self, path: str) -> tuple[Image, ...]:
        if path != "/there":
            raise NotFound(f"archive {path} does not exist")
        return (Image("sha256:1", ("a:1",), ("a@sha256:f",), 1, (), ImageDefaults()),)

    def pulling(self) -> tuple[Progress, ...]:
        return (Progress("a:1", "unpack", 1.5, 10, 30, 1, 2),)


async def ask(directory: Path, call: Any) -> Any:
    handlers = ImageAdmin(cast(ImageService, Loader()))
    async with serving(directory, admin(handlers)) as address:

        def blocking() -> Any:
            with grpc.insecure_channel(address) as channel:
                return call(channel)

        return await asyncio.to_thread(blocking)


async def test_load(tmp_path: Path) -> None:
    loaded = await ask(tmp_path, lambda channel: call(channel, "Load", {"path": "/there"}))
    assert loaded == {"images": [{"id": "sha256:1", "names": ["a:1", "a@sha256:f"]}]}


async def test_pulls(tmp_path: Path) -> None:
    (pull,) = (await ask(tmp_path, lambda channel: call(channel, "Pulls", {})))["pulls"]
    assert (pull["image"], pull["stage"], pull["seconds"], pull["total_bytes"]) == ("a:1", "unpack", 1.5, 30)


async def test_errors_come_through(tmp_path: Path) -> None:
    with pytest.raises(grpc.RpcError, match="archive /missing does not exist"):
        await ask(tmp_path, lambda channel: call(channel, "Load", {"path": "/missing"}))


@pytest.mark.parametrize("request_", [{}, {"path": 1}])
async def test_a_request_without_a_path(tmp_path: Path, request_: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError, match="path is missing"):
        await ask(tmp_path, lambda channel: call(channel, "Load", request_))
