"""Copies of trees: all that is true of them, no larger than they are, and nothing of what could hurt."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from criserver.kernel import copying

SECOND = 10**9


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        copying.copy_tree(fd, str(target))
    finally:
        os.close(fd)
    return target


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    return directory


def test_files_directories_and_links(source: Path, tmp_path: Path) -> None:
    (source / "sub/empty").mkdir(parents=True)
    (source / "sub/file").write_bytes(b"x" * 100_000)
    (source / "nothing").touch()
    (source / "out").symlink_to("/etc/passwd")
    (source / "around").symlink_to("..")
    target = copied(source, tmp_path / "target")
    assert (target / "sub/file").read_bytes() == b"x" * 100_000
    assert (target / "nothing").read_bytes() == b"" and (target / "sub/empty").is_dir()
    assert os.readlink(target / "out") == "/etc/passwd" and os.readlink(target / "around") == ".."
    assert sorted(os.listdir(target)) == ["around", "nothing", "out", "sub"]


def test_modes_and_times(source: Path, tmp_path: Path) -> None:
    (source / "sub").mkdir()
    (source / "sub/program").write_text("#!")
    (source / "sub/program").chmod(0o4755)
    (source / "sub/closed").touch(mode=0o400)
    (source / "sub").chmod(0o3770)
    os.utime(source / "sub/program", ns=(7 * SECOND, 8 * SECOND))
    os.utime(source / "sub", ns=(5 * SECOND, 6 * SECOND))
    source.chmod(0o750)
    target = copied(source, tmp_path / "target")
    modes = {name: stat.S_IMODE((target / name).stat().st_mode) for name in ("", "sub", "sub/program", "sub/closed")}
    assert modes == {"": 0o750, "sub": 0o3770, "sub/program": 0o4755, "sub/closed": 0o400}
    assert (target / "sub/program").stat().st_mtime_ns == 8 * SECOND
    assert (target / "sub").stat().st_mtime_ns == 6 * SECOND, "not the time at which it was filled"


def test_extended_attributes(source: Path, tmp_path: Path) -> None:
    (source / "file").touch()
    try:
        os.setxattr(source / "file", "user.origin", b"image")
        os.setxattr(source, "user.kind", b"\0\xff")
    except OSError:
        pytest.skip("the file system of the temporary directory has no user attributes")
    target = copied(source, tmp_path / "target")
    assert os.getxattr(target / "file", "user.origin") == b"image"
    assert os.getxattr(target, "user.kind") == b"\0\xff"


def test_special_files_stay_behind_and_block_nothing(source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "socket"))
    (source / "file").write_text("kept")
    assert os.listdir(copied(source, tmp_path / "target")) == ["file"]


def test_holes_stay_holes(source: Path, tmp_path: Path) -> None:
    size = 1 << 34
    with open(source / "sparse", "wb") as file:
        file.write(b"begin")
        file.seek(size // 2)
        file.write(b"middle")
        file.truncate(size)
    with open(source / "hollow", "wb") as file:
        file.truncate(size)
    target = copied(source, tmp_path / "target")
    for name in ("sparse", "hollow"):
        status = (target / name).stat()
        assert status.st_size == size and status.st_blocks * 512 < 1 << 20
    with open(target / "sparse", "rb") as file:
        assert file.read(6) == b"begin\0"
        file.seek(size // 2)
        assert file.read(7) == b"middle\0"


def test_names_of_one_file_stay_names_of_one_file(source: Path, tmp_path: Path) -> None:
    (source / "a").mkdir()
    (source / "a/first").write_text("once")
    for name in ("second", "third"):
        os.link(source / "a/first", source / name)
    target = copied(source, tmp_path / "target")
    found = {(target / name).stat().st_ino for name in ("a/first", "second", "third")}
    assert len(found) == 1
    assert (target / "third").read_text() == "once"
    assert (target / "third").stat().st_nlink == 3, "and of no file of the source"


def test_depth_has_a_limit(source: Path, tmp_path: Path) -> None:
    deepest = source.joinpath(*["d"] * (copying.LEVELS - 1))
    deepest.mkdir(parents=True)
    (deepest / "file").write_text("deep")
    before = len(os.listdir("/proc/self/fd"))
    target = copied(source, tmp_path / "target")
    assert target.joinpath(*["d"] * (copying.LEVELS - 1), "file").read_text() == "deep"
    (deepest / "d").mkdir()
    with pytest.raises(OSError, match="deeper than 100"):
        copied(source, tmp_path / "again")
    assert len(os.listdir("/proc/self/fd")) == before
