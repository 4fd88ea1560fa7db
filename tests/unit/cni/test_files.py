from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cni.files import is_namespace, read_regular, remove, replace


def test_only_regular_files_up_to_a_limit_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    assert read_regular(str(tmp_path / "file"), 5) == b"12345"
    assert read_regular(str(tmp_path / "link"), 5) == b"12345"
    for path, limit, follow, code in (
        ("file", 4, True, errno.EFBIG),
        ("link", 5, False, errno.ELOOP),
        ("fifo", 5, True, errno.EINVAL),
        (".", 5, True, errno.EINVAL),
        ("/dev/zero", 5, True, errno.EINVAL),
        ("missing", 5, True, errno.ENOENT),
    ):
        with pytest.raises(OSError, match=r".") as caught:
            read_regular(str(tmp_path / path), limit, follow=follow)
        assert caught.value.errno == code, path


def test_refusing_a_file_leaks_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for path in (str(tmp_path), "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(path, 5)
    assert os.listdir("/proc/self/fd") == before


def test_replace_is_private_and_leaves_no_draft(tmp_path: Path) -> None:
    replace(str(tmp_path), "name", b"old and long")
    replace(str(tmp_path), "name", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["name"]
    assert (tmp_path / "name").read_bytes() == b"new"
    assert (tmp_path / "name").stat().st_mode & 0o777 == 0o600


def test_a_draft_left_by_a_killed_writer_is_taken_over_or_removed(tmp_path: Path) -> None:
    (tmp_path / ".name").write_text("half of it, and quite long")
    replace(str(tmp_path), "name", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["name"]
    (tmp_path / ".name").write_text("half")
    remove(str(tmp_path), "name")
    remove(str(tmp_path), "name")
    assert list(tmp_path.iterdir()) == []


def test_a_draft_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".name").symlink_to("victim")
    with pytest.raises(OSError, match="symbolic"):
        replace(str(tmp_path), "name", b"new")
    assert (tmp_path / "victim").read_text() == "precious"


def test_live_namespaces_are_told_from_files(tmp_path: Path) -> None:
    (tmp_path / "left-after-reboot").touch()
    assert is_namespace("/proc/self/ns/net")
    assert not is_namespace(str(tmp_path / "left-after-reboot"))
    assert not is_namespace(str(tmp_path / "gone"))
    assert not is_namespace("")
