"""The resize stream: JSON objects {"Width": columns, "Height": rows}, one after the other, cut anywhere.

(k8s.io/client-go, tools/remotecommand/resize.go writes them with Go's JSON encoder, whose reader ignores letter case.)
What is no size ends the listening, as with the peers: a session is not lost for its terminal's shape.
"""

from __future__ import annotations

import json

from criserver.streaming.wire.machine import Buffer
from criserver.streaming.wire.remotecommand import TerminalSize

MAX_OBJECT = 256
"""Bytes that one object may take; it needs about 30."""
_MAX_SIDE = 0xFFFF


class ResizeDecoder:
    """Holds the object that is not whole yet, never more than `MAX_OBJECT` bytes of it."""

    def __init__(self) -> None:
        self._held = b""
        self._deaf = False

    def feed(self, data: Buffer) -> list[TerminalSize]:
        """The sizes whose objects are whole now; none any more after something that is no size."""
        if self._deaf:
            return []
        *objects, self._held = (self._held + bytes(data)).split(b"}")
        sizes: list[TerminalSize] = []
        for text in objects:
            size = _size(text + b"}")
            if size is None:
                self._deaf = True
                return sizes
            sizes.append(size)
        self._deaf = len(self._held) > MAX_OBJECT
        return sizes


def _size(text: bytes) -> TerminalSize | None:
    if len(text) > MAX_OBJECT:
        return None
    try:
        fields = json.loads(text)  # a dict: JSON that ends in a brace is nothing else
    except ValueError:
        return None
    sides = {name.lower(): value for name, value in fields.items()}
    width, height = sides.get("width", 0), sides.get("height", 0)
    return TerminalSize(width, height) if _is_side(width) and _is_side(height) else None


def _is_side(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_SIDE
