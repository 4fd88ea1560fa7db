"""Names in messages and kinds of refusal."""

from __future__ import annotations

from criserver.drivers.images.unpack.protocol import damaged, exhausted, hostile, shown
from criserver.errors import Code


def test_names_are_printable_and_bounded() -> None:
    assert shown(b"a\n\xff\x1b[0m") == r"'a\n\\xff\x1b[0m'"
    assert len(shown(b"x" * 5000)) == 202


def test_codes_are_those_of_the_error_tree() -> None:
    assert {error("x").code for error in (damaged, hostile, exhausted)} <= {code.value for code in Code}
