"""A blob becomes one file, or is refused as layers are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.drivers.images.unpack.protocol import Refused
from criserver.drivers.images.unpack.single import fill
from criserver.drivers.images.unpack.source import Blob
from tests.support.images import compress, digest


def blob(path: Path, data: bytes, expected: str = "", size: int = -1) -> Blob:
    path.write_bytes(data)
    return Blob(os.open(path, os.O_RDONLY), expected or digest(data), len(data) if size < 0 else size)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "tree"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.mark.parametrize("data", [b"", b"x", compress(b"no archive"), compress(b"x", "zstd"), os.urandom(1_000_000)])
def test_whatever_bytes_they_are(tmp_path: Path, tree: Path, data: bytes) -> None:
    before = os.umask(0)
    try:
        usage = fill(blob(tmp_path / "blob", data), b"a/b c/file", 1 << 20)
    finally:
        os.umask(before)
    file = tree / "a/b c/file"
    assert file.read_bytes() == data
    assert (file.stat().st_mode & 0o777, (tree / "a").stat().st_mode & 0o777) == (0o644, 0o755)
    assert usage.inodes == 4
    assert {path.stat().st_mtime for path in (tree, tree / "a", tree / "a/b c", file)} == {0}


@pytest.mark.parametrize(
    ("expected", "size", "limit", "code"),
    [(digest(b"other"), -1, 100, "DATA_LOSS"), ("", 20, 100, "DATA_LOSS"), ("", -1, 9, "RESOURCE_EXHAUSTED")],
)
def test_what_it_is_not(tmp_path: Path, tree: Path, expected: str, size: int, limit: int, code: str) -> None:
    with pytest.raises(Refused) as refused:
        fill(blob(tmp_path / "blob", b"0123456789", expected, size), b"file", limit)
    assert refused.value.code == code
