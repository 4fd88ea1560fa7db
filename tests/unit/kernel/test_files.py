"""Files are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.kernel.files import remove, write_atomic


@pytest.mark.parametrize("durable", [False, True])
def test_replaces_content_and_mode(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    write_atomic(str(path), b"new", 0o640, durable=durable)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_private_by_default_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_atomic(str(tmp_path / "file"), b"")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o600


def test_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "directory"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(str(target), b"new")
    assert os.listdir(tmp_path) == ["directory"]


def test_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to("precious")
    write_atomic(str(tmp_path / "link"), b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "link").is_symlink()


def test_remove_is_idempotent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remove(str(tmp_path / "file"))
    remove(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == []
