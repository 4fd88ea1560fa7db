"""From an error of ours to a gRPC status: the one function that does it."""

from __future__ import annotations

import asyncio

import grpc

from criserver.errors import Code, CriError

MESSAGE_LIMIT = 8 << 10  # bytes of a status message: gRPC sends it as a header, which clients bound at 8 to 16 KiB


def status(error: BaseException) -> tuple[grpc.StatusCode, str]:
    """Code and message of an error; what is not ours is INTERNAL, by its type and words."""
    if isinstance(error, CriError):
        return grpc.StatusCode[error.code.value], _bounded(str(error))
    if isinstance(error, asyncio.CancelledError):
        return grpc.StatusCode.CANCELLED, "the caller gave up"
    return grpc.StatusCode[Code.INTERNAL.value], _bounded(f"{type(error).__name__}: {error}")


def _bounded(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= MESSAGE_LIMIT:
        return text
    half = MESSAGE_LIMIT // 2
    return data[:half].decode("utf-8", "ignore") + " … " + data[-half:].decode("utf-8", "ignore")
