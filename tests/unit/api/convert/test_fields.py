"""Single values of a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.api.convert import fields
from criserver.errors import CriError, InvalidArgument


@pytest.mark.parametrize("value", ["a", "web-1.2_x", "0", "A" * 253, "6e3a1b9c-0d7e-4f3b-9a53-6f2b7d9a1c11"])
def test_names(value: str) -> None:
    assert fields.name(value, "f") == value


@pytest.mark.parametrize(
    "value", ["", ".", "..", "../x", "a/b", "a;K8S_POD_NAME=b", "a=b", "a b", "a\n", "a\0", "-a", "a-", "A" * 254, "ü"]
)
def test_names_that_would_be_more_cve_2025_0750(value: str) -> None:
    with pytest.raises(InvalidArgument, match="^f: "):
        fields.name(value, "f")


def test_hostnames() -> None:
    for value in ("", "a", "web-1.example.org", "a" * 64):
        assert fields.hostname(value, "f") == value
    for value in ("-a", "a" * 65, "a b", "a\n", "a/b", "a."):
        with pytest.raises(InvalidArgument, match="^f: "):
            fields.hostname(value, "f")


@pytest.mark.parametrize("value", ["a\nb", "\0", "\x7f", "\r"])
def test_one_line(value: str) -> None:
    assert fields.line("any ü text", "f") == "any ü text"
    with pytest.raises(InvalidArgument, match="^f: "):
        fields.line(value, "f")


def test_texts_are_sorted_and_bounded() -> None:
    assert list(fields.texts({"b": "1\n2", "a": ""}, "f").items()) == [("a", ""), ("b", "1\n2")]
    for given_map in ({"": "x"}, {"a\nb": ""}, {"a" * 513: ""}, {"a": "x" * (1 << 20)}):
        with pytest.raises(InvalidArgument, match="^f: "):
            fields.texts(given_map, "f")


@pytest.mark.parametrize(("value", "normal"), [("", ""), ("a", "a"), ("a//b/./0.log", "a/b/0.log"), ("..a", "..a")])
def test_relative_paths(value: str, normal: str) -> None:
    assert fields.relative_path(value, "f") == normal


@pytest.mark.parametrize("value", ["/a", "..", "../a", "a/../../b", "a/..", "a\n", "a\0"])
def test_relative_paths_stay_below_cve_2025_0750(value: str) -> None:
    with pytest.raises(InvalidArgument, match="^f: "):
        fields.relative_path(value, "f")


@given(st.text())
def test_relative_paths_never_leave(value: str) -> None:
    try:
        path = fields.relative_path(value, "f")
    except CriError:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")


def test_directories() -> None:
    assert fields.directory("", "f") == ""
    assert fields.directory("/var/log//pods/", "f") == "/var/log/pods"
    for value in ("var", "/var/../etc", "/a\nb", "/\0"):
        with pytest.raises(InvalidArgument, match="^f: "):
            fields.directory(value, "f")


def test_ports_and_addresses() -> None:
    assert [fields.port(value, "f") for value in (0, 65535)] == [0, 65535]
    for number in (-1, 65536):
        with pytest.raises(InvalidArgument, match="^f: "):
            fields.port(number, "f")
    for value in ("", "10.0.0.1", "::1"):
        assert fields.address(value, "f") == value
    for value in ("10.0.0", "10.0.0.1/8", "localhost"):
        with pytest.raises(InvalidArgument, match="^f: "):
            fields.address(value, "f")


def test_choices() -> None:
    assert fields.choice(1, {1: "one"}, "f") == "one"
    with pytest.raises(InvalidArgument, match="f: 7 is not known; give one of 1"):
        fields.choice(7, {1: "one"}, "f")
