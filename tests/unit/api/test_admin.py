"""The operator's service: methods of several topics over one real socket, the client included."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.admin import SERVICE, Message, Method, admin, call
from criserver.errors import NotFound
from tests.support.grpc_server import serving


class Echo:
    """A topic with one method."""

    @property
    def methods(self) -> Mapping[str, Method]:
        return {"Echo": self._echo}

    async def _echo(self, request: Message) -> Message:
        return {"heard": request}


class Fail:
    """Another topic, whose method finds nothing."""

    @property
    def methods(self) -> Mapping[str, Method]:
        return {"Fail": self._fail}

    async def _fail(self, _: Message) -> Message:
        raise NotFound("archive /missing does not exist")


async def ask(directory: Path, use: Any) -> Any:
    async with serving(directory, admin(Echo(), Fail())) as address:

        def blocking() -> Any:
            with grpc.insecure_channel(address) as channel:
                return use(channel)

        return await asyncio.to_thread(blocking)


async def test_a_call(tmp_path: Path) -> None:
    assert await ask(tmp_path, lambda channel: call(channel, "Echo", {"a": [1]})) == {"heard": {"a": [1]}}


async def test_errors_come_through(tmp_path: Path) -> None:
    with pytest.raises(grpc.RpcError, match="archive /missing does not exist"):
        await ask(tmp_path, lambda channel: call(channel, "Fail", {}))


async def test_what_is_not_an_object_is_an_empty_one(tmp_path: Path) -> None:
    answer = await ask(tmp_path, lambda channel: channel.unary_unary(f"/{SERVICE}/Echo")(b"[]"))
    assert answer == b'{"heard": {}}'
