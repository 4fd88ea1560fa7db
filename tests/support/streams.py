"""Server-streaming RPCs from a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc

from criserver.api.pb import api_pb2 as pb


@contextlib.contextmanager
def open_stream(
    socket: str, method: str, request: Any, response: str = "", *, seconds: float = 60
) -> Iterator[Any]:
    """An open call that is iterated over and can be cancelled; cancelled at the end. `response`: its message's name.

    It ends with an error after `seconds`.
    """
    with grpc.insecure_channel(socket) as channel:
        call: Any = channel.unary_stream(
            f"/runtime.v1.{'ImageService' if 'Image' in method else 'RuntimeService'}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(pb, response or f"{method}Response").FromString,
        )(request, timeout=seconds)
        try:
            yield call
        finally:
            call.cancel()


def messages(socket: str, method: str, request: Any) -> list[Any]:
    """Everything that the stream says until its end."""
    with open_stream(socket, method, request) as call:
        return list(call)
