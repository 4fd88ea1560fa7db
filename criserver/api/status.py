"""From an error of ours to a gRPC status: the one function that does it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import grpc

from criserver.errors import Code, CriError

MESSAGE_LIMIT = 7 << 10
"""Bytes of a status message as sent: it is a header, and clients refuse some responses with 8 KiB of headers."""
_GAP = " … "


def status(error: BaseException) -> tuple[grpc.StatusCode, str]:
    """Code and message of an error; what is not ours is INTERNAL, by its type and words."""
    if isinstance(error, CriError):
        return grpc.StatusCode[error.code.value], _bounded(str(error))
    if isinstance(error, asyncio.CancelledError):
        return grpc.StatusCode.CANCELLED, "the caller gave up"
    return grpc.StatusCode[Code.INTERNAL.value], _bounded(f"{type(error).__name__}: {error}")


def _bounded(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()  # gRPC cannot send a lone surrogate
    if sum(map(_cost, text)) <= MESSAGE_LIMIT:
        return text
    half = (MESSAGE_LIMIT - sum(map(_cost, _GAP))) // 2
    return _fitting(text, half) + _GAP + _fitting(reversed(text), half)[::-1]


def _fitting(text: Iterable[str], room: int) -> str:
    kept: list[str] = []
    for char in text:
        room -= _cost(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept)


def _cost(char: str) -> int:
    """Bytes of a character as gRPC sends it: percent-encoded but for printable ASCII (grpc/PROTOCOL-HTTP2.md)."""
    return 1 if " " <= char <= "~" and char != "%" else 3 * len(char.encode())
