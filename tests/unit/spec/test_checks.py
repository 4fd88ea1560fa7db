"""Single values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.errors import InvalidArgument
from criserver.spec import checks


def test_numbers() -> None:
    assert checks.number(3, 3, 3, "f") == 3
    for value in (2, 5):
        with pytest.raises(InvalidArgument, match=f"f: {value} is out of range; give 3 to 4"):
            checks.number(value, 3, 4, "f")


@given(st.text())
def test_text_is_what_c_and_json_can_hold(value: str) -> None:
    assert checks.text(value.replace("\0", ""), "f") == value.replace("\0", "")


@pytest.mark.parametrize("value", ["a\0b", "\udc80"])
def test_text_refusals(value: str) -> None:
    with pytest.raises(InvalidArgument, match="^f: "):
        checks.text(value, "f")


@pytest.mark.parametrize(
    ("given_path", "normal"), [("/", "/"), ("//", "/"), ("//a", "/a"), ("/a//b/.", "/a/b"), ("/..a/b..", "/..a/b..")]
)
def test_paths(given_path: str, normal: str) -> None:
    assert checks.absolute_path(given_path, "f") == normal


@pytest.mark.parametrize("value", ["", "a", "./a", "/a/..", "/../a", "/a/../b", "/\0", "/" + "a" * 4096])
def test_path_refusals(value: str) -> None:
    with pytest.raises(InvalidArgument, match="^f: "):
        checks.absolute_path(value, "f")


@given(st.lists(st.sampled_from(["a", "b", ".", "", "..."])))
def test_normal_paths_stay_as_they_are(parts: list[str]) -> None:
    path = checks.absolute_path("/" + "/".join(parts), "f")
    assert path.startswith("/")
    assert checks.absolute_path(path, "f") == path


def test_beneath() -> None:
    assert checks.beneath("/proc", "/proc")
    assert checks.beneath("/proc/x", "/proc")
    assert not checks.beneath("/process", "/proc")
    assert checks.beneath("/x", "/")


def test_writable_names_the_place() -> None:
    checks.writable({"a": [{"b": "ü"}], "n": 1, "z": None})
    with pytest.raises(InvalidArgument, match=r"^a\.b: "):
        checks.writable({"a": [{"b": "\0"}]})
    with pytest.raises(InvalidArgument, match=r"^annotations: "):
        checks.writable({"annotations": {"\ud800": "x"}})


def test_words() -> None:
    assert checks.words(" a  b\nc ", prefix="x") == ("xa", "xb", "xc")
