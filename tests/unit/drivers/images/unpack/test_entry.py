"""Numbers of tar headers: octal, base-256, and neither."""

from __future__ import annotations

import pytest

from criserver.drivers.images.unpack.entry import number
from criserver.drivers.images.unpack.protocol import Refused


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b" 644 \0\0\0", 0o644),
        (b"\0" * 8, 0),
        (b"77777777", 0o77777777),
        (b"\x80" + (3_000_000_000).to_bytes(7, "big"), 3_000_000_000),
        (b"\x80\0\0\0" + (1 << 40).to_bytes(8, "big"), 1 << 40),
        (b"\xff" * 12, -1),
        (b"\xff" * 11 + b"\xfe", -2),
    ],
)
def test_number(field: bytes, value: int) -> None:
    assert number(field) == value


@pytest.mark.parametrize("field", [b"8", b"x", b"-", b"1 1", b"\x7f"])
def test_no_number(field: bytes) -> None:
    with pytest.raises(Refused, match="number"):
        number(field)
