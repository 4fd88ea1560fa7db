"""Usage is what du(1) counts; the record tells every change but that of contents behind the system's back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from criserver.drivers.images.unpack.usage import usage


def du(path: Path, *options: str) -> int:
    listing = subprocess.run(["du", "-s", *options, path], check=True, capture_output=True, text=True)
    return int(listing.stdout.split()[0])


def test_as_du_counts(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number % 7}").mkdir(exist_ok=True)
        (tmp_path / f"{number % 7}" / f"{number}").write_bytes(b"x" * (number * 37))
    os.link(tmp_path / "0/7", tmp_path / "1/hard")
    (tmp_path / "soft").symlink_to("0/7")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert usage(os.fsencode(tmp_path))[:2] == (du(tmp_path, "-B1"), du(tmp_path, "--inodes"))


def make(path: Path, names: list[str]) -> Path:
    path.mkdir()
    for name in names:
        file = path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
        os.utime(file, ns=(1, 5_000_000_001))
    (path / "link").symlink_to("a")
    os.utime(path / "link", ns=(1, 1), follow_symlinks=False)
    for directory in (path / "d", path):
        os.utime(directory, ns=(1, 7))
    return path


def record(path: Path) -> str:
    return usage(os.fsencode(path)).record


def test_the_same_tree_has_the_same_record_in_whatever_order_it_was_made(tmp_path: Path) -> None:
    names = [f"{number}" for number in range(300)] + ["a", "d/b", "d/c"]
    first, second = make(tmp_path / "1", names), make(tmp_path / "longer-name", names[::-1])
    assert record(first) == record(second)
    assert record(first).startswith("sha256-1:")
    list(first.rglob("*"))
    (first / "a").read_text()
    assert record(first) == record(second), "reading changes nothing"


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "a").write_text("A"),
        lambda tree: os.truncate(tree / "a", 0),
        lambda tree: os.utime(tree / "a", ns=(1, 5_000_000_002)),
        lambda tree: (tree / "a").chmod(0o600),
        lambda tree: (tree / "d/b").unlink(),
        lambda tree: (tree / "d/new").touch(),
        lambda tree: (tree / "d/b").rename(tree / "d/e"),
        lambda tree: (tree / "d/b").rename(tree / "b"),
        lambda tree: (tree / "d").rename(tree / "e"),
        lambda tree: ((tree / "link").unlink(), (tree / "link").symlink_to("d")),
        lambda tree: ((tree / "a").unlink(), (tree / "a").mkdir()),
        lambda tree: os.utime(tree, ns=(1, 8)),
    ],
)
def test_what_changes_a_tree_changes_its_record(tmp_path: Path, change: Callable[[Path], object]) -> None:
    tree = make(tmp_path / "tree", ["a", "d/b", "d/c"])
    before = record(tree)
    change(tree)
    assert record(tree) != before
