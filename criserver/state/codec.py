"""Records as JSON in rows: dataclasses in, the same dataclasses out, whatever version wrote them.

Unknown fields are ignored and missing ones take their defaults, so that a record survives an upgrade and a downgrade.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from criserver.errors import Internal

T = TypeVar("T")


def encode(record: object) -> bytes:
    """JSON of a frozen dataclass of `model/`."""
    return msgspec.json.encode(record)


def decode(kind: type[T], data: bytes) -> T:
    """The record of `kind` in `data`; Internal names the field that does not fit."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise Internal(f"stored {kind.__name__} record is damaged: {error}") from error
