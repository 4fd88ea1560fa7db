"""Every method of an interface has a handler, and what is not built says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from criserver import __version__
from criserver.api.pb import api_pb2 as pb
from criserver.api.pb.api_pb2_grpc import RuntimeServiceStub
from criserver.api.service import service
from tests.support.grpc_server import serving

RUNTIME = pb.DESCRIPTOR.services_by_name["RuntimeService"]


class First:
    async def Version(self, request: pb.VersionRequest, _: Any) -> pb.VersionResponse:  # noqa: N802
        return pb.VersionResponse(version=request.version, runtime_name="first")


class Second:
    async def Version(self, _: Any, __: Any) -> pb.VersionResponse:  # noqa: N802
        return pb.VersionResponse(runtime_name="second")

    async def GetContainerEvents(self, _: Any, __: Any) -> AsyncIterator[pb.ContainerEventResponse]:  # noqa: N802
        for name in ("a", "b"):
            yield pb.ContainerEventResponse(container_id=name)


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(tmp_path, service(RUNTIME, First(), Second())) as address:
        async with grpc.aio.insecure_channel(address) as opened:
            yield opened


async def test_the_first_object_that_has_a_method_answers(channel: Any) -> None:
    stub = RuntimeServiceStub(channel)
    answer = await stub.Version(pb.VersionRequest(version="0.1.0"))
    assert (answer.version, answer.runtime_name) == ("0.1.0", "first")
    events = [event.container_id async for event in stub.GetContainerEvents(pb.GetEventsRequest())]
    assert events == ["a", "b"]


async def test_every_other_method_says_that_it_is_not_built(channel: Any) -> None:
    for method in RUNTIME.methods:
        if method.name in ("Version", "GetContainerEvents"):
            continue
        path = f"/{RUNTIME.full_name}/{method.name}"
        call = channel.unary_stream(path)(b"").read() if method.server_streaming else channel.unary_unary(path)(b"")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert refused.value.details() == f"{method.name} is not built yet in criserver {__version__}"
