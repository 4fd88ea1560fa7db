"""Trees with mounts and fixed files in them, and the leftovers of a real overlay."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.kernel import mount
from criserver.kernel.trees import remove_tree


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A directory without mounts and fixed files in the end."""
    path = tmp_path / "tree"
    path.mkdir()
    yield path
    for entry in reversed(mount.mounts()):
        if entry.target.startswith(str(tmp_path)):
            mount.unmount(entry.target)
    if path.exists():
        subprocess.run(["chattr", "-R", "-f", "-ia", path], check=False)


@pytest.mark.parametrize("where", ["tree", "tree/a/b"])
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_mounts_are_not_crossed(tree: Path, tmp_path: Path, where: str, kind: str) -> None:
    precious, target = tmp_path / "precious", tmp_path / where
    precious.mkdir()
    target.mkdir(parents=True, exist_ok=True)
    if kind == "bind":
        mount.bind(str(precious), str(target))
    else:
        mount.mount("test", str(target), "tmpfs")
    (target / "file").touch()
    with pytest.raises(OSError, match="something is mounted there") as failed:
        remove_tree(str(tree))
    assert failed.value.filename == str(target)
    assert (target / "file").exists()
    mount.unmount(str(target))
    remove_tree(str(tree))
    assert not tree.exists()


@pytest.mark.parametrize("flag", ["+i", "+a"])
def test_fixed_files_and_directories(tree: Path, flag: str) -> None:
    (tree / "dir/sub").mkdir(parents=True)
    for name in ("file", "dir/file", "dir/sub/file"):
        (tree / name).touch()
    done = subprocess.run(
        ["chattr", flag, tree / "dir/sub/file", tree / "dir/sub", tree / "dir", tree / "file"], check=False
    )
    if done.returncode:
        pytest.skip("the file system of the temporary directory knows no chattr flags")
    remove_tree(str(tree))
    assert not tree.exists()


def test_devices_and_whiteouts(tree: Path) -> None:
    os.mknod(tree / "whiteout", 0o20000, os.makedev(0, 0))
    os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
    os.mknod(tree / "disk", 0o60600, os.makedev(7, 250))
    remove_tree(str(tree))
    assert not tree.exists()
