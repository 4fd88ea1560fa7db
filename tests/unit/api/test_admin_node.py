"""The operator's calls about the server itself, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.admin import admin, call
from criserver.api.admin_node import NodeAdmin
from criserver.config.live import Change, Changes
from criserver.errors import ConfigError
from tests.support.grpc_server import serving


async def reload(directory: Path, answer: Callable[[], Changes]) -> Any:
    async with serving(directory, admin(NodeAdmin(answer))) as address:

        def blocking() -> Any:
            with grpc.insecure_channel(address) as channel:
                return call(channel, "Reload", {})

        return await asyncio.to_thread(blocking)


async def test_what_changed_and_what_waits(tmp_path: Path) -> None:
    changes = Changes((Change("log_level", "info", "debug"),), (Change("root", "/a", "/b"),))
    assert await reload(tmp_path, lambda: changes) == {
        "applied": ["log_level"],
        "waiting": ["root"],
        "lines": ["log_level: 'info' → 'debug'", "root: '/a' → '/b' after a restart"],
    }


async def test_files_that_are_wrong(tmp_path: Path) -> None:
    def refuse() -> Changes:
        raise ConfigError("config.yaml: unknown key lgo_level; did you mean log_level?")

    with pytest.raises(grpc.RpcError, match="unknown key lgo_level") as caught:
        await reload(tmp_path, refuse)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
