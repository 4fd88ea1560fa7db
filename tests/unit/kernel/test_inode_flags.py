from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from criserver.kernel.inode_flags import FS_TOPDIR_FL, change_flags, spread_children


def _lsattr(path: Path) -> str:
    return subprocess.run(["lsattr", "-d", path], capture_output=True, text=True, check=True).stdout.split()[0]


@pytest.fixture
def on_ext4(tmp_path: Path) -> Path:
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True).stdout
    if kind.strip() != "ext2/ext3":
        pytest.skip(f"the temporary directory is on {kind.strip()}, only ext4 knows the flag")
    return tmp_path


def test_children_are_spread_on_ext4_and_other_flags_stay(on_ext4: Path) -> None:
    before = _lsattr(on_ext4)

    spread_children(str(on_ext4))
    spread_children(str(on_ext4))

    assert "T" not in before
    assert "T" in (after := _lsattr(on_ext4))
    assert after.replace("T", "-") == before


def test_a_flag_is_taken_back(on_ext4: Path) -> None:
    spread_children(str(on_ext4))
    fd = os.open(on_ext4, os.O_RDONLY)
    try:
        change_flags(fd, remove=FS_TOPDIR_FL)
    finally:
        os.close(fd)

    assert "T" not in _lsattr(on_ext4)


def test_a_file_system_without_the_hint_is_fine() -> None:
    spread_children("/proc/self")


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        spread_children(str(tmp_path / "missing"))
