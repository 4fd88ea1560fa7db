"""Whether an answer reached its caller, with real callers that wait or give up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from criserver.api.delivery import on_delivery
from criserver.api.pb import api_pb2 as pb
from criserver.api.pb.api_pb2_grpc import RuntimeServiceStub
from criserver.api.service import service
from tests.support.grpc_server import serving


class Handlers:
    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.working, self.go, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def Version(self, request: pb.VersionRequest, context: Any) -> pb.VersionResponse:  # noqa: N802
        context.add_done_callback(lambda _: self.ended.set())
        on_delivery(context, lambda: self.delivered.append(request.version))
        self.working.set()
        await self.go.wait()
        return pb.VersionResponse()


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def stub(tmp_path: Path, handlers: Handlers) -> AsyncIterator[Any]:
    generic = service(pb.DESCRIPTOR.services_by_name["RuntimeService"], handlers)
    async with serving(tmp_path, generic) as address, grpc.aio.insecure_channel(address) as channel:
        yield RuntimeServiceStub(channel)


async def test_an_answer_that_was_sent_counts_once(stub: Any, handlers: Handlers) -> None:
    handlers.go.set()
    await stub.Version(pb.VersionRequest(version="a"))
    await asyncio.wait_for(handlers.ended.wait(), 30)
    assert handlers.delivered == ["a"]


async def test_an_answer_to_nobody_does_not_count(stub: Any, handlers: Handlers) -> None:
    call = stub.Version(pb.VersionRequest(version="a"))
    await asyncio.wait_for(handlers.working.wait(), 30)
    call.cancel()
    await asyncio.wait_for(handlers.ended.wait(), 30)
    assert handlers.delivered == []
    with pytest.raises(asyncio.CancelledError):
        await call
