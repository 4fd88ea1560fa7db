"""What a caller and the log read of RPCs that fail, over a real socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from criserver.api.interceptor import QUIET
from criserver.api.pb import api_pb2 as pb
from criserver.api.pb.api_pb2_grpc import RuntimeServiceStub
from criserver.api.service import service
from criserver.errors import Ended, Internal, InvalidArgument, NotFound, Unavailable
from criserver.observe.context import current
from criserver.observe.metrics import Metrics
from tests.support.grpc_server import serving
from tests.unit.observe.test_metrics import scraped


class Handlers:
    """Fails as told; `seen` is the log context of the last call."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.seen: dict[str, str] = {}
        self.waiting, self.given_up = asyncio.Event(), asyncio.Event()

    async def Version(self, _: Any, __: Any) -> pb.VersionResponse:  # noqa: N802
        self.seen = dict(current())
        if self.error:
            raise self.error
        return pb.VersionResponse(version="0.1.0")

    async def GetContainerEvents(self, _: Any, __: Any) -> AsyncIterator[pb.ContainerEventResponse]:  # noqa: N802
        self.seen = dict(current())
        yield pb.ContainerEventResponse(container_id="c1")
        if self.error:
            raise self.error

    async def Status(self, _: Any, __: Any) -> pb.StatusResponse:  # noqa: N802
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()
        return pb.StatusResponse()


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def stub(tmp_path: Path, handlers: Handlers) -> AsyncIterator[Any]:
    generic = service(pb.DESCRIPTOR.services_by_name["RuntimeService"], handlers)
    async with serving(tmp_path, generic) as address, grpc.aio.insecure_channel(address) as channel:
        yield RuntimeServiceStub(channel)


async def failure(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code(), failed.value.details() or ""


async def drained(call: Any) -> list[Any]:
    return [item async for item in call]


async def test_what_goes_well_goes_through(stub: Any, handlers: Handlers) -> None:
    assert (await stub.Version(pb.VersionRequest())).version == "0.1.0"
    assert handlers.seen == {"rpc": "Version"}
    assert [event.container_id for event in await drained(stub.GetContainerEvents(pb.GetEventsRequest()))] == ["c1"]
    assert handlers.seen == {"rpc": "GetContainerEvents"}


@pytest.mark.parametrize(
    ("error", "code", "level"),
    [
        (InvalidArgument("field: no"), grpc.StatusCode.INVALID_ARGUMENT, logging.WARNING),
        (NotFound("no such thing"), grpc.StatusCode.NOT_FOUND, logging.DEBUG),
        (Ended("the container has ended"), grpc.StatusCode.FAILED_PRECONDITION, logging.DEBUG),
        (Unavailable("later"), grpc.StatusCode.UNAVAILABLE, logging.WARNING),
    ],
)
async def test_our_errors_are_a_status_and_a_line(
    stub: Any, handlers: Handlers, caplog: pytest.LogCaptureFixture, error: Exception, code: grpc.StatusCode, level: int
) -> None:
    handlers.error = error
    with caplog.at_level(logging.DEBUG, "criserver.rpc"):
        assert await failure(stub.Version(pb.VersionRequest())) == (code, str(error))
        assert await failure(drained(stub.GetContainerEvents(pb.GetEventsRequest()))) == (code, str(error))
    lines = [record for record in caplog.records if record.name == "criserver.rpc"]
    assert [(line.levelno, line.message, line.exc_info) for line in lines] == [(level, f"failed: {error}", None)] * 2
    assert (code in QUIET or isinstance(error, Ended)) == (level == logging.DEBUG)


async def test_an_error_of_nobodys_is_internal_and_logged_with_its_traceback(
    stub: Any, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    handlers.error = ZeroDivisionError("oh")
    code, words = await failure(stub.Version(pb.VersionRequest()))
    assert (code, words) == (grpc.StatusCode.INTERNAL, "ZeroDivisionError: oh")
    (line,) = [record for record in caplog.records if record.name == "criserver.rpc"]
    assert line.levelno == logging.ERROR and line.exc_info and line.exc_info[0] is ZeroDivisionError
    handlers.error = None
    await stub.Version(pb.VersionRequest())


@pytest.mark.parametrize("part", ["x", "漢", "\n"])
async def test_long_words_reach_the_caller(stub: Any, handlers: Handlers, part: str) -> None:
    handlers.error = Internal("begin " + part * 100_000 + " end")
    for _ in range(20):  # gRPC refuses headers beyond a soft limit by chance
        code, words = await failure(stub.Version(pb.VersionRequest()))
        assert code is grpc.StatusCode.INTERNAL
        assert words.startswith("begin ") and words.endswith(" end")


async def test_a_caller_that_gives_up_ends_the_handler_without_an_error_line(
    stub: Any, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    call = stub.Status(pb.StatusRequest())
    asking = asyncio.get_running_loop().create_task(failure(call))
    await asyncio.wait_for(handlers.waiting.wait(), 30)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(handlers.given_up.wait(), 30)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_every_call_is_counted_with_its_status(tmp_path: Path, handlers: Handlers) -> None:
    metrics = Metrics()
    generic = service(pb.DESCRIPTOR.services_by_name["RuntimeService"], handlers)
    async with (
        serving(tmp_path, generic, metrics=metrics) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        stub: Any = RuntimeServiceStub(channel)
        await stub.Version(pb.VersionRequest())
        handlers.error = Unavailable("later")
        await failure(stub.Version(pb.VersionRequest()))
        await failure(drained(stub.GetContainerEvents(pb.GetEventsRequest())))
    found = scraped(metrics)
    assert found["criserver_rpc_total", "OK", "Version"] == found["criserver_rpc_total", "UNAVAILABLE", "Version"] == 1
    assert found["criserver_rpc_total", "UNAVAILABLE", "GetContainerEvents"] == 1
    assert found["criserver_rpc_duration_seconds_count", "Version"] == 2
    assert found["criserver_rpc_in_flight", "Version"] == found["criserver_rpc_in_flight", "GetContainerEvents"] == 0


async def test_a_method_that_nobody_knows(tmp_path: Path, handlers: Handlers) -> None:
    generic = service(pb.DESCRIPTOR.services_by_name["RuntimeService"], handlers)
    async with serving(tmp_path, generic) as address, grpc.aio.insecure_channel(address) as channel:
        unknown: Any = channel.unary_unary("/runtime.v1.RuntimeService/Nothing")
        code, _ = await failure(unknown(b""))
    assert code is grpc.StatusCode.UNIMPLEMENTED
