import os
from pathlib import Path

import pytest

from criserver.config import document
from criserver.errors import ConfigError


def read(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return document.read(str(path))


def test_a_mapping_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 1\nb: {c: [x, y]}\n") == {"a": 1, "b": {"c": ["x", "y"]}}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_gives_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: key 'a' is given twice"),
        ("x:\n  a: 1\n  a: 1\n", "line 3, column 3: key 'a' is given twice"),
        ("x: {a: 1, 2: 3}\n", "a key must be a string"),
        ("- a\n", "must be a mapping"),
        ("a: [1\n", "line 2"),
        ("a: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "but found another document"),
        ("a: \x07\n", "special characters are not allowed"),
        ("[" * 100_000, "not a YAML document"),
    ],
)
def test_a_fault_is_named_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}/config.yaml: ") as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than"):
        read(tmp_path, "#" * (document.MAX_BYTES + 1))


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("pipe", "regular file"), (".", "regular file"), ("no", "No such file")):
        with pytest.raises(ConfigError, match=words):
            document.read(f"{tmp_path}/{name}")
