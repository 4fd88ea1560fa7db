"""criserver's own service beside the CRI, on the same socket: what its operator's commands ask of a running server.

Requests and answers are JSON objects, so that commands need no stubs: criserver.v1.Admin/Load {"path": FILE} answers
{"images": [{"id": ID, "names": [...]}]}.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from criserver.errors import InvalidArgument
from criserver.lifecycle.images import ImageService

if TYPE_CHECKING:
    Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

Message = dict[str, Any]
SERVICE = "criserver.v1.Admin"
LOAD = f"/{SERVICE}/Load"


class AdminHandlers:
    """The operator's calls."""

    def __init__(self, images: ImageService) -> None:
        self._images = images

    async def load(self, request: Message, _: Context) -> Message:
        """Load the images of an archive file, by its absolute path on this host."""
        path = request.get("path")
        if not isinstance(path, str):
            raise InvalidArgument("path is missing: give the archive's absolute path")
        images = await self._images.load(path)
        return {"images": [{"id": image.id, "names": [*image.repo_tags, *image.repo_digests]} for image in images]}


def admin(handlers: AdminHandlers) -> grpc.GenericRpcHandler:
    """The generic handler of the service."""
    return grpc.method_handlers_generic_handler(SERVICE, {"Load": _unary(handlers.load)})


def load(channel: grpc.Channel, path: str) -> list[Message]:
    """Client side of Load: images loaded, each with "id" and "names"; grpc.RpcError as the server answers."""
    call = channel.unary_unary(LOAD, request_serializer=_encode, response_deserializer=_decode)
    answer: Message = call({"path": path})
    images: list[Message] = answer["images"]
    return images


def _unary(method: Callable[[Message, Any], Awaitable[Message]]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(method, _decode, _encode)


def _encode(message: Message) -> bytes:
    return json.dumps(message).encode()


def _decode(data: bytes) -> Message:
    message = json.loads(data)
    return message if isinstance(message, dict) else {}
