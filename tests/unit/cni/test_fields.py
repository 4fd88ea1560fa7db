from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni.fields import DEPTH_LIMIT, FieldError, Node, decode, encode, node


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "must be an object, is a list"),
        (b"null", "must be an object, is null"),
        (b"\xff{}", "not UTF-8 (byte 0)"),
        (b'{"a": NaN}', "not finite"),
        (b'{"a": -Infinity}', "not finite"),
        (b'{"a": 1e999}', "not finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested deeper"),
        (b'{"a":' + b"[" * 90000 + b"]" * 90000 + b"}", "nested deeper"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', "longer than 1048576 bytes"),
    ],
)
def test_decode_refuses_what_is_no_reasonable_object(data: bytes, words: str) -> None:
    with pytest.raises(FieldError, match="^thing: ") as caught:
        decode(data, "thing")
    assert words in str(caught.value)


def test_decode_takes_nesting_up_to_the_limit() -> None:
    deep = b'{"a":' * (DEPTH_LIMIT - 1) + b"1" + b"}" * (DEPTH_LIMIT - 1)
    assert decode(deep, "thing").has("a")


def test_encode_is_ascii_and_reads_back() -> None:
    value = {"a": "é\ud800", "b": [1, 2.5, None]}
    assert encode(value).isascii()
    assert json.loads(encode(value)) == value


SAMPLE = node(
    {"s": "x", "n": 3, "neg": -1, "t": True, "l": ["a"], "o": {"k": 1}, "os": [{"k": 1}], "null": None, "mixed": [1]},
    "doc",
)


def test_getters_return_what_is_there() -> None:
    assert SAMPLE.text("s") == "x"
    assert SAMPLE.number("n") == SAMPLE.unsigned("n") == 3
    assert SAMPLE.number("neg") == -1
    assert SAMPLE.flag("t") is True
    assert SAMPLE.strings("l") == ("a",)
    assert SAMPLE.child("o").number("k") == 1
    assert SAMPLE.children("os")[0].path == "doc.os[0]"


@pytest.mark.parametrize("key", ["missing", "null"])
def test_missing_and_null_are_the_same(key: str) -> None:
    assert not SAMPLE.has(key)
    assert SAMPLE.text(key) == ""
    assert SAMPLE.number(key) is None
    assert SAMPLE.unsigned(key) is None
    assert SAMPLE.flag(key) is False
    assert SAMPLE.strings(key) == ()
    assert SAMPLE.children(key) == ()
    assert SAMPLE.child(key).value == {}


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda: SAMPLE.text("n"), "doc.n: must be a string, is a number"),
        (lambda: SAMPLE.number("t"), "doc.t: must be an integer, is a boolean"),
        (lambda: SAMPLE.number("s"), "doc.s: must be an integer, is a string"),
        (lambda: SAMPLE.unsigned("neg"), "doc.neg: must not be negative, is -1"),
        (lambda: SAMPLE.flag("s"), "doc.s: must be true or false, is a string"),
        (lambda: SAMPLE.strings("mixed"), "doc.mixed[0]: must be a string, is a number"),
        (lambda: SAMPLE.child("l"), "doc.l: must be an object, is a list"),
        (lambda: SAMPLE.children("l"), "doc.l[0]: must be an object, is a string"),
        (lambda: SAMPLE.child("o").text("k"), "doc.o.k: must be a string, is a number"),
    ],
)
def test_errors_name_the_path(read: Callable[[], object], words: str) -> None:
    with pytest.raises(FieldError) as caught:
        read()
    assert str(caught.value) == words


def test_flags_may_be_words() -> None:
    assert Node({"a": "True"}, "d").flag("a") is True
    assert Node({"a": "false"}, "d").flag("a") is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_decode_or_raise_field_error(data: bytes) -> None:
    try:
        value: dict[str, Any] = decode(data, "thing").value
    except FieldError:
        return
    assert json.loads(encode(value)) == value
