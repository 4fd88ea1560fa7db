"""From handler objects to a gRPC service: every method of the interface has a handler, built or saying that it is not.

Handler objects have a coroutine (or, for streams, an async generator) named as the RPC: `async def Version(request,
context)`. A method that no object has answers UNIMPLEMENTED and says so; none may pretend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from criserver import __version__
from criserver.errors import Unimplemented


def service(descriptor: ServiceDescriptor, *objects: object) -> grpc.GenericRpcHandler:
    """The generic handler of a service, its methods taken from `objects`."""
    return grpc.method_handlers_generic_handler(
        descriptor.full_name, {method.name: _handler(method, objects) for method in descriptor.methods}
    )


def _handler(method: MethodDescriptor, objects: tuple[object, ...]) -> grpc.RpcMethodHandler[Any, Any]:
    found = next((getattr(each, method.name) for each in objects if hasattr(each, method.name)), None)
    request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(
            found or _unbuilt_stream(method.name), request.FromString, response.SerializeToString
        )
    return grpc.unary_unary_rpc_method_handler(
        found or _unbuilt(method.name), request.FromString, response.SerializeToString
    )


def _unbuilt(name: str) -> Callable[[Any, Any], Any]:
    async def call(_request: object, _context: object) -> None:
        raise _not_built(name)

    return call


def _unbuilt_stream(name: str) -> Callable[[Any, Any], Any]:
    async def call(_request: object, _context: object) -> Any:
        raise _not_built(name)
        yield  # makes this a stream

    return call


def _not_built(name: str) -> Unimplemented:
    return Unimplemented(f"{name} is not built yet in criserver {__version__}")
