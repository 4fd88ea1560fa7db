"""What a hostile directory may hold: nothing outside it is reached, nothing blocks, nothing is read without bound.

The same cases run through openat2 and through the walk that stands in for it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from criserver.kernel import fds, libc

Open = Callable[[str, str], int]


@pytest.fixture(params=["openat2", "walk"])
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """open_in_root with the kernel's help, or as on a kernel without openat2."""
    if request.param == "walk":

        def missing(*_: object) -> int:
            raise OSError(errno.ENOSYS, "openat2")

        monkeypatch.setattr(libc, "openat2", missing)
    return fds.open_in_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("outside")
    top = tmp_path / "root"
    (top / "etc").mkdir(parents=True)
    (top / "etc/passwd").write_text("inside")
    (top / "outside").write_text("inside")
    return top


def content(open_in_root: Open, root: Path, path: str) -> str:
    fd = open_in_root(str(root), path)
    try:
        return fds.read_regular(fd, path, 100).decode()
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("absolute", "/etc/passwd"),
        ("relative", "etc/passwd"),
        ("up", "../../../../etc/passwd"),
        ("out", "../outside"),
        ("dots", "/../outside"),
        ("chain", "absolute"),
    ],
)
def test_links_stay_inside(opened: Open, root: Path, link: str, target: str) -> None:
    (root / "absolute").symlink_to("/etc/passwd")
    if link != "absolute":
        (root / link).symlink_to(target)
    assert content(opened, root, link) == "inside"


@pytest.mark.parametrize("path", ["etc/passwd", "/etc/passwd", "../etc/passwd", "etc/../../outside", "./etc//passwd"])
def test_paths_stay_inside(opened: Open, root: Path, path: str) -> None:
    assert content(opened, root, path) == "inside"


def test_directory_that_is_a_link_outside(opened: Open, root: Path, tmp_path: Path) -> None:
    (root / "dir").symlink_to(tmp_path)  # absolute: within the root there is no such directory
    with pytest.raises(FileNotFoundError):
        opened(str(root), "dir/outside")


@pytest.mark.parametrize("path", ["loop", "a/loop"])
def test_link_loops_end(opened: Open, root: Path, path: str) -> None:
    (root / "a").mkdir()
    (root / "loop").symlink_to("loop")
    (root / "a/loop").symlink_to("../a/loop/x")
    with pytest.raises(OSError, match="(?i)symbolic link") as failed:
        opened(str(root), path)
    assert failed.value.errno == errno.ELOOP


def test_magic_links_are_refused(opened: Open) -> None:
    # The root directory of this process, as a link out of /proc taken for a root.
    with pytest.raises(OSError, match="link") as failed:
        opened("/proc/self", "cwd")
    assert failed.value.errno == errno.ELOOP


def test_missing_and_not_a_directory(opened: Open, root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(str(root), "etc/shadow")
    with pytest.raises(NotADirectoryError):
        opened(str(root), "etc/passwd/x")


def test_flags_reopen_for_reading(opened: Open, root: Path) -> None:
    fd = fds.open_in_root(str(root), "etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert os.listdir(fd) == ["passwd"]
    finally:
        os.close(fd)


def test_walk_leaks_no_descriptor(root: Path) -> None:
    top = os.open(root, os.O_PATH)
    try:
        before = len(os.listdir("/proc/self/fd"))
        os.close(fds.walk_in_root(top, "etc/../etc/passwd", os.O_PATH))
        with pytest.raises(FileNotFoundError):
            fds.walk_in_root(top, "etc/missing/x", os.O_PATH)
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        os.close(top)


def test_read_is_bounded(root: Path) -> None:
    huge = root / "etc/group"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="larger than 1000 bytes") as failed:
        fds.read_in_root(str(root), "/etc/group", 1000)
    assert failed.value.errno == errno.EFBIG
    assert fds.read_in_root(str(root), "etc/passwd", 6) == b"inside"


def test_fifo_does_not_block(root: Path) -> None:
    os.mkfifo(root / "etc/group")
    with pytest.raises(OSError, match="not a regular file"):
        fds.read_in_root(str(root), "etc/group", 1000)


def test_directory_is_not_read(root: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        fds.read_in_root(str(root), "etc", 1000)
