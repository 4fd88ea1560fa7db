"""The resize stream: JSON objects {"Width": columns, "Height": rows}, one after the other, cut anywhere.

(k8s.io/client-go, tools/remotecommand/resize.go writes them with Go's JSON encoder, whose reader ignores letter case.)
"""

from __future__ import annotations

import json

from criserver.streaming.wire.machine import Buffer, RemoteProtocolError
from criserver.streaming.wire.remotecommand import TerminalSize

MAX_OBJECT = 256
"""Bytes that one object may take; it needs about 30."""
_MAX_SIDE = 0xFFFF


class ResizeDecoder:
    """Holds the object that is not whole yet, never more than `MAX_OBJECT` bytes of it."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: Buffer) -> list[TerminalSize]:
        """The sizes whose objects are whole now; RemoteProtocolError for what is no size."""
        *objects, self._held = (self._held + bytes(data)).split(b"}")
        if len(self._held) > MAX_OBJECT:
            raise RemoteProtocolError(f"resize stream: an object of more than {MAX_OBJECT} bytes")
        return [_size(text + b"}") for text in objects]


def _size(text: bytes) -> TerminalSize:
    if len(text) > MAX_OBJECT:
        raise RemoteProtocolError(f"resize stream: an object of more than {MAX_OBJECT} bytes")
    try:
        fields = json.loads(text)
    except ValueError as exc:
        raise RemoteProtocolError(f"resize stream: {text[:64]!r} is no JSON object: {exc}") from exc
    if not isinstance(fields, dict):
        raise RemoteProtocolError(f"resize stream: {text[:64]!r} is no JSON object")
    sides = {name.lower(): value for name, value in fields.items()}
    return TerminalSize(_side(sides, "width"), _side(sides, "height"))


def _side(sides: dict[str, object], name: str) -> int:
    value = sides.get(name, 0)
    if type(value) is not int or not 0 <= value <= _MAX_SIDE:
        raise RemoteProtocolError(f"resize stream: {name} must be a number from 0 to {_MAX_SIDE}, not {value!r}")
    return value
