"""The committed Python stubs are those of the current interface file, and load under their package path."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import grpc.aio
import pytest

from criserver.api.pb import api_pb2, api_pb2_grpc

ROOT = Path(__file__).resolve().parents[3]
GENERATORS_MISSING = 3
# The stubs give each method's context a type of its own; Any, Any is good for all of them.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def test_committed_stubs_are_what_gen_proto_writes() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "hack" / "gen-proto", "--check"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if check.returncode == GENERATORS_MISSING:
        pytest.skip(f"needs the pinned grpcio-tools and mypy-protobuf: {check.stderr.strip()}")
    assert check.returncode == 0, check.stderr


def test_messages_know_the_module_they_are_imported_from() -> None:
    assert api_pb2.PodSandboxConfig.__module__ == "criserver.api.pb.api_pb2"


class HalfRuntime(api_pb2_grpc.RuntimeServiceServicer):
    """One unary and one streaming method; the others are left to the generated base class."""

    async def Version(  # noqa: N802
        self, request: api_pb2.VersionRequest, context: Context
    ) -> api_pb2.VersionResponse:
        return api_pb2.VersionResponse(version=request.version, runtime_api_version="v1")

    async def GetContainerEvents(  # noqa: N802
        self, request: api_pb2.GetEventsRequest, context: Context
    ) -> AsyncIterator[api_pb2.ContainerEventResponse]:
        for kind in (api_pb2.CONTAINER_CREATED_EVENT, api_pb2.CONTAINER_DELETED_EVENT):
            yield api_pb2.ContainerEventResponse(container_event_type=kind)


async def talk(address: str) -> tuple[str, list[int], grpc.StatusCode]:
    """A version, the kinds of the events streamed, and the status of a method that nobody wrote."""
    server = grpc.aio.server()
    api_pb2_grpc.add_RuntimeServiceServicer_to_server(HalfRuntime(), server)
    server.add_insecure_port(address)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = api_pb2_grpc.RuntimeServiceStub(channel)
            version = await stub.Version(api_pb2.VersionRequest(version="v1"), timeout=10)
            stream = stub.GetContainerEvents(api_pb2.GetEventsRequest(), timeout=10)
            kinds = [int(event.container_event_type) async for event in stream]
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Status(api_pb2.StatusRequest(), timeout=10)
            return version.version, kinds, refused.value.code()
    finally:
        await server.stop(None)


def test_server_and_client_talk_over_a_socket(tmp_path: Path) -> None:
    assert asyncio.run(talk(f"unix:{tmp_path}/cri.sock")) == ("v1", [0, 3], grpc.StatusCode.UNIMPLEMENTED)


def test_services_have_the_wire_names_that_clients_call() -> None:
    services = api_pb2.DESCRIPTOR.services_by_name.values()
    assert [service.full_name for service in services] == ["runtime.v1.RuntimeService", "runtime.v1.ImageService"]
