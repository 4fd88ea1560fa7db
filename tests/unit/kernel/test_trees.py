"""Trees are removed however deep and odd they are, and nothing beside them."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.kernel import trees
from criserver.kernel.fds import remove_tree


def make_deep(top: Path, depth: int) -> None:
    """Nest directories far beyond what a path can name."""
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)


@pytest.fixture
def tree() -> Iterator[Path]:
    """Where a deep tree is to be: in memory, where it is made in a second. pytest itself could not remove it."""
    directory = tempfile.mkdtemp(prefix="criserver-test-", dir="/dev/shm")
    yield Path(directory) / "tree"
    subprocess.run(["rm", "-rf", directory], check=True)


def test_hundred_thousand_levels_in_flat_memory(tree: Path) -> None:
    make_deep(tree, 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 2 * trees._LEVELS + 10, hard))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        remove_tree(str(tree))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not tree.exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10  # KiB


def test_wide_and_mixed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(50):
        (tree / f"dir{number}/sub/empty").mkdir(parents=True)
        (tree / f"dir{number}/sub/file").write_text("x")
        os.mkfifo(tree / f"dir{number}/fifo")
        (tree / f"dir{number}/link").symlink_to("sub")
    (tree / ".removing-1").mkdir()
    (tree / ".removing-1/x").touch()
    (tree / "no-access").mkdir(mode=0)
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == []


def test_names_that_the_tree_uses_itself(tmp_path: Path) -> None:
    # Deeper than is descended, with the names at the top taken that deep directories are moved to.
    make_deep(tmp_path / "tree", 3 * trees._LEVELS)
    for number in range(1, 4):
        (tmp_path / f"tree/.removing-{number}").mkdir()
        (tmp_path / f"tree/.removing-{number}/x").touch()
    (tmp_path / "tree/.removing-4").touch()
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "dir").symlink_to(precious)
    (tree / "file").symlink_to(precious / "file")
    os.link(precious / "file", tree / "hard")
    remove_tree(str(tree))
    assert (precious / "file").read_text() == "precious"
    (tmp_path / "top").symlink_to(precious)
    remove_tree(str(tmp_path / "top"))
    assert sorted(os.listdir(tmp_path)) == ["precious"]
    assert os.listdir(precious) == ["file"]


def test_file_and_nothing_and_no_parent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remove_tree(str(tmp_path / "file"))
    remove_tree(str(tmp_path / "file"))
    remove_tree(str(tmp_path / "no/such/tree"))
    assert os.listdir(tmp_path) == []


def test_error_names_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/b/file").touch()

    def refuse(path: str, *, dir_fd: int) -> None:
        if path == "file":
            raise OSError(5, "Input/output error", path)
        raise IsADirectoryError(path)

    monkeypatch.setattr("os.unlink", refuse)
    with pytest.raises(OSError, match="Input/output error: .*/tree/a/b/file'"):
        remove_tree(str(tmp_path / "tree"))
