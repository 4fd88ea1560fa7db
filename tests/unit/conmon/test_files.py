"""Records are whole or absent; foreign files are read bounded, and only if they are files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conmon import files


def test_record_comes_back_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    files.write_record(str(path), {"a": 1})
    files.write_record(str(path), {"a": 2})
    assert files.read_record(str(path)) == {"a": 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["r.json"]


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_record(str(tmp_path / "r.json"), {})
    assert os.listdir(tmp_path) == ["r.json"]


def test_reads_are_bounded_and_of_regular_files(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * 1000)
    assert files.read_bounded(str(path), 10) == b"x" * 10
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(path)
    for name in ("fifo", "link", "none", "."):
        with pytest.raises(OSError, match=r"not a regular|symbolic|No such|directory"):
            files.read_bounded(str(tmp_path / name))


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    files.remove(str(tmp_path / "none"))
    files.remove(str(tmp_path))
    assert tmp_path.is_dir()
