"""From errors to statuses."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import grpc
import pytest

from criserver import errors
from criserver.api.status import MESSAGE_LIMIT, status
from criserver.errors import Code, CriError, Internal, RuntimeFailed


@pytest.mark.parametrize("code", list(Code))
def test_every_code_of_ours_is_one_of_grpc(code: Code) -> None:
    error = type("Failed", (CriError,), {"code": code})("words")
    assert status(error) == (grpc.StatusCode[code.name], "words")


def test_every_error_of_the_tree_has_its_own_code() -> None:
    tree = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CriError)]
    assert {status(each("x"))[0].name for each in tree} == {each.code.value for each in tree}
    assert status(RuntimeFailed('exec: "nope": not found'))[1] == 'exec: "nope": not found'


def test_what_is_not_ours_is_told_by_its_type() -> None:
    assert status(KeyError("pod")) == (grpc.StatusCode.INTERNAL, "KeyError: 'pod'")
    assert status(AssertionError()) == (grpc.StatusCode.INTERNAL, "AssertionError: ")


def test_a_caller_that_gave_up() -> None:
    assert status(asyncio.CancelledError())[0] is grpc.StatusCode.CANCELLED


@pytest.mark.parametrize("part", ["x", "ü", "漢", "\n", "%", "\ud800"])
def test_a_message_fits_into_a_header_and_keeps_both_its_ends(part: str) -> None:
    _, message = status(Internal("begin " + part * 100_000 + " end"))
    printable = "".join(map(chr, range(ord(" "), ord("~") + 1)))
    assert len(quote(message, safe=printable.replace("%", ""))) <= MESSAGE_LIMIT, "as gRPC encodes it"
    assert message.startswith("begin ") and message.endswith(" end") and " … " in message


def test_a_message_that_fits_is_not_touched() -> None:
    text = "x" * (MESSAGE_LIMIT - 1) + "\n"
    assert len(status(Internal("漢" * 300))[1]) == 300
    assert status(Internal(text[2:]))[1] == text[2:]
