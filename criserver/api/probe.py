"""Whether the server really answers: a request of its own, over its own socket, through the whole stack."""

from __future__ import annotations

from typing import Any

import grpc.aio

from criserver.api.pb import api_pb2 as pb
from criserver.api.pb.api_pb2_grpc import RuntimeServiceStub
from criserver.errors import Unavailable


async def answers(listen: str, seconds: float) -> None:
    """Ask for the node's Status and the list of pods; Unavailable when they do not come within `seconds`."""
    async with grpc.aio.insecure_channel(listen) as channel:
        stub: Any = RuntimeServiceStub(channel)
        try:
            await stub.Status(pb.StatusRequest(), timeout=seconds)
            await stub.ListPodSandbox(pb.ListPodSandboxRequest(), timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"this server does not answer itself: {error.code().name}: {error.details()}") from error
