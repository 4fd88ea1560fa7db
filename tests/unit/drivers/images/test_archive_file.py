"""Compressed archives are made plain, whatever compressed them; bombs and damage are refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from criserver.drivers.images.archive_file import plain
from criserver.errors import InvalidArgument, ResourceExhausted

WAYS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress, zstandard.compress]


@pytest.fixture
def space(tmp_path: Path) -> str:
    path = tmp_path / "space"
    path.mkdir()
    return str(path)


def test_a_plain_file_is_left_where_it_is(tmp_path: Path, space: str) -> None:
    for data in (b"", b"index.json", bytes(4096)):
        (tmp_path / "a").write_bytes(data)
        assert plain(str(tmp_path / "a"), space) == str(tmp_path / "a")
    assert os.listdir(space) == []


@pytest.mark.parametrize("compress", WAYS)
def test_compressed(tmp_path: Path, space: str, compress: Callable[[bytes], bytes]) -> None:
    data = os.urandom(1000) * 3000
    (tmp_path / "a").write_bytes(compress(data))
    assert Path(plain(str(tmp_path / "a"), space)).read_bytes() == data


@pytest.mark.parametrize("compress", WAYS)
def test_too_much_or_cut(tmp_path: Path, space: str, compress: Callable[[bytes], bytes]) -> None:
    data = compress(os.urandom(1000) + bytes(3 << 20))
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ResourceExhausted, match="more than 1048576 bytes"):
        plain(str(tmp_path / "a"), space, 1 << 20)
    os.unlink(f"{space}/archive.tar")
    (tmp_path / "a").write_bytes(data[: len(data) // 2])
    if compress is not zstandard.compress:  # its reader takes the end of the file for the end of the frame
        with pytest.raises(InvalidArgument, match="cannot be uncompressed"):
            plain(str(tmp_path / "a"), space)


def test_what_only_begins_like_gzip(tmp_path: Path, space: str) -> None:
    (tmp_path / "a").write_bytes(b"\x1f\x8b" + b"nothing")
    with pytest.raises(InvalidArgument, match="cannot be uncompressed"):
        plain(str(tmp_path / "a"), space)
