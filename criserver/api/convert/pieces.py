"""Lists in messages: cut into pieces for streams, and weighed where they go out whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)
log = logging.getLogger(__name__)

MESSAGE_LIMIT = 16 << 20  # bytes, the kubelet's own limit
PIECE = 1 << 20  # bytes of items in one message of a stream; one item may be larger and then goes alone
SAY_SECONDS = 60.0

_said: dict[str, float] = {}


def pieces(items: Iterable[M], size: int = PIECE) -> Iterator[list[M]]:
    """The items in order, some `size` bytes at a time; no piece is empty."""
    piece: list[M] = []
    weight = 0
    for item in items:
        bytes_more = item.ByteSize()
        if piece and weight + bytes_more > size:
            yield piece
            piece, weight = [], 0
        piece.append(item)
        weight += bytes_more
    if piece:
        yield piece


def whole(answer: M, stream: str, spare: str = "dead containers") -> M:
    """`answer`; a warning, once a minute, when it has half the size that clients take. `stream` has no such limit.

    `spare` is what an operator may remove to make it smaller.
    """
    size = answer.ByteSize()
    now = time.monotonic()
    if size > MESSAGE_LIMIT // 2 and now - _said.get(stream, -SAY_SECONDS) >= SAY_SECONDS:
        _said[stream] = now
        megabytes = f"{size / (1 << 20):.1f} MiB of the {MESSAGE_LIMIT >> 20} MiB that clients take"
        log.warning("an answer has %s: remove %s, or ask with %s", megabytes, spare, stream)
    return answer
