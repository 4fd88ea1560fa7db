"""What runtimes print is turned into values, whatever it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.drivers.runtime import words as runtime_words
from criserver.drivers.runtime.words import Features


def line(level: str, msg: str) -> str:
    return json.dumps({"level": level, "msg": msg, "time": "2026-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (line("error", "container does not exist"), "container does not exist"),
        (line("warning", "w") + "\n" + line("error", "first") + "\n" + line("error", "last"), "last"),
        (line("error", "real") + "\n" + line("info", "cleanup"), "real"),
        ('{"msg":"crun words","level":"error"}\n', "crun words"),
        ("plain text\nlast line\n\n", "last line"),
        ("panic: x\n" + line("fatal", "nsexec died"), "nsexec died"),
        ("[1, 2]", "[1, 2]"),
        ("", ""),
    ],
)
def test_last_error(stderr: str, words: str) -> None:
    assert runtime_words.last_error(stderr.encode()) == words


@given(st.binary())
def test_any_bytes_give_bounded_text(stderr: bytes) -> None:
    assert len(runtime_words.last_error(stderr)) <= 4096
    assert isinstance(runtime_words.features(stderr), Features)
    assert isinstance(runtime_words.known(b"crun version " + stderr), Features)
    assert len(runtime_words.version(stderr)) <= 128


def test_words_are_bounded() -> None:
    assert len(runtime_words.last_error(line("error", "x" * 100_000).encode())) == 4096


@pytest.mark.parametrize(
    ("stdout", "version"),
    [
        ("runc version 1.1.5+ds1\ncommit: 1.1.5\n", "1.1.5+ds1"),
        ("crun version 1.8.1\ncommit: f8a0\n", "1.8.1"),
        ("something else\n", "something else"),
    ],
)
def test_version(stdout: str, version: str) -> None:
    assert runtime_words.version(stdout.encode()) == version


@pytest.mark.parametrize(
    ("stdout", "known"),
    [
        ("crun version 1.8.1\ncommit: f8a0\n", Features(True, True, True)),
        ("crun version 1.8.7\n", Features(True, True, True)),
        ("crun version 1.14.3\n", Features(True, True)),
        ("crun version 1.9\n", Features(True, True)),
        ("crun version 1.8\n", Features(True, False)),
        ("crun version 1.0\n", Features(True, False)),
        ("crun version 0.21\n", Features()),
        ("crun version main\n", Features()),
        ("runc version 1.5.2\n", Features()),
        ("", Features()),
    ],
)
def test_known_by_the_version(stdout: str, known: Features) -> None:
    assert runtime_words.known(stdout.encode()) == known


@pytest.mark.parametrize(
    ("document", "features"),
    [
        ({"mountOptions": ["ro", "rro"]}, Features(recursive_read_only=True)),
        ({"linux": {"mountExtensions": {"idmap": {"enabled": True}}}}, Features(idmapped_mounts=True)),
        ({"mountOptions": "rro", "linux": []}, Features()),
        ([], Features()),
    ],
)
def test_features(document: object, features: Features) -> None:
    assert runtime_words.features(json.dumps(document).encode()) == features


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("1.8.1", (1, 8, 1)), ("1.1.5+ds1", (1, 1, 5)), ("0.20", (0, 20)), ("UNKNOWN", ()), ("", ())],
)
def test_release(version: str, numbers: tuple[int, ...]) -> None:
    assert runtime_words.release(version) == numbers
