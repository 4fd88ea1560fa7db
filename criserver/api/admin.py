"""criserver's own service beside the CRI, on the same socket: what its operator's commands ask of a running server.

Requests and answers are JSON objects, so that commands need no stubs. Each method belongs to a class of handlers for
one topic, which declares its `methods` (`api/admin_images` has Load); this module joins them into one service.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import grpc

if TYPE_CHECKING:
    Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

Message = dict[str, Any]
Method = Callable[[Message], Awaitable[Message]]
SERVICE = "criserver.v1.Admin"


class AdminHandlers(Protocol):
    """The operator's calls about one topic."""

    @property
    def methods(self) -> Mapping[str, Method]:
        """Each method by its name in the service; it may raise CriError."""
        ...


def admin(*handlers: AdminHandlers) -> grpc.GenericRpcHandler:
    """The generic handler of the service that all `handlers` make up together."""
    methods = {name: _unary(method) for each in handlers for name, method in each.methods.items()}
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def call(channel: grpc.Channel, method: str, request: Message) -> Message:
    """Client side: the answer of `method`; grpc.RpcError as the server answers."""
    invoke = channel.unary_unary(f"/{SERVICE}/{method}", request_serializer=_encode, response_deserializer=_decode)
    answer: Message = invoke(request)
    return answer


def _unary(method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    async def handle(request: Message, _: Context) -> Message:
        return await method(request)

    return grpc.unary_unary_rpc_method_handler(handle, _decode, _encode)


def _encode(message: Message) -> bytes:
    return json.dumps(message).encode()


def _decode(data: bytes) -> Message:
    message = json.loads(data)
    return message if isinstance(message, dict) else {}
