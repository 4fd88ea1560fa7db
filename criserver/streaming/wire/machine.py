"""What the machines of this package share: "need more" as a value, whose fault an error is, and the ready answer.

Only vocabulary lives here; it must not know any protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from criserver.errors import Code, CriError

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Anything that a transport can write."""

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Header fields in the order they came, names in lower case; a field with several values is there several times."""


class NeedData(Enum):
    """The type of `NEED_DATA`."""

    NEED_DATA = "NEED_DATA"


NEED_DATA: Final = NeedData.NEED_DATA
"""`next_event()` has no event until `receive_data()` is called again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An event: bytes that the protocol itself owes the peer (a pong, a reset); write them before asking further."""

    data: bytes


class ProtocolError(CriError):
    """A streaming connection cannot go on."""


class LocalProtocolError(ProtocolError):
    """This side asked its machine for something the protocol forbids now; a fault in the server, not in the peer."""

    code = Code.INTERNAL


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol or a limit: write `farewell` (it may be empty) and close the connection."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, message: str, farewell: bytes = b"") -> None:
        super().__init__(message)
        self.farewell = farewell


def first_value(headers: Headers, name: str) -> str | None:
    """The first value of the field `name` (lower case), or None."""
    return next((value for field, value in headers if field == name), None)
