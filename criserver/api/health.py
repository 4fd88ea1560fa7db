"""The gRPC health service (grpc.health.v1.Health, the protocol of grpc/grpc's doc/health-checking.md).

The socket opens when the node is in order, so whoever is answered finds a server that serves, until it stops.
HealthCheckRequest has one string and HealthCheckResponse one enum, both as field 1: on the wire they are the same as
two of protobuf's own wrappers, which stand for them here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from google.protobuf.wrappers_pb2 import Int32Value as HealthCheckResponse
from google.protobuf.wrappers_pb2 import StringValue as HealthCheckRequest

from criserver.errors import NotFound

if TYPE_CHECKING:
    Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

SERVICE = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3  # HealthCheckResponse.ServingStatus


class HealthHandlers:
    """Check and Watch."""

    def __init__(self, services: Collection[str]) -> None:
        """`services` are the names that can be asked for; the empty one is the server as a whole."""
        self._services = {"", *services}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Tell watchers that nothing is served any more, and end their streams."""
        self._stopping.set()

    async def check(self, request: HealthCheckRequest, _: Context) -> HealthCheckResponse:
        """The status of a service; NotFound for one that is not here."""
        if request.value not in self._services:
            names = ", ".join(sorted(self._services - {""}))
            raise NotFound(f"service {request.value!r} is not served here; ask for {names}, or for none by name")
        return HealthCheckResponse(value=self._status(request.value))

    async def watch(self, request: HealthCheckRequest, _: Context) -> AsyncIterator[HealthCheckResponse]:
        """The status now and whenever it changes; a service that is not here is unknown, and no error."""
        told = self._status(request.value)
        yield HealthCheckResponse(value=told)
        await self._stopping.wait()
        if (now := self._status(request.value)) != told:
            yield HealthCheckResponse(value=now)

    def _status(self, service: str) -> int:
        if service not in self._services:
            return SERVICE_UNKNOWN
        return NOT_SERVING if self._stopping.is_set() else SERVING


def health(handlers: HealthHandlers) -> grpc.GenericRpcHandler:
    """The generic handler of the service."""
    decode, encode = HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Check": grpc.unary_unary_rpc_method_handler(handlers.check, decode, encode),
            "Watch": grpc.unary_stream_rpc_method_handler(handlers.watch, decode, encode),
        },
    )
