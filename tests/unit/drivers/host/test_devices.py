"""Devices by path. Making device nodes needs root: see tests/root/drivers for those."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.drivers.host import devices


def test_a_device_and_a_link_to_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in ("/dev/zero", f"{tmp_path}/link"):
        (found,) = devices.at(path)
        assert (found.path, found.type, found.major, found.minor) == (path, "c", 1, 5)
        assert found.mode == os.stat("/dev/zero").st_mode & 0o7777


def test_what_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert devices.at(f"{tmp_path}/file") == ()
    with pytest.raises(FileNotFoundError):
        devices.at(f"{tmp_path}/missing")


def test_a_walk_follows_no_link_and_takes_no_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/round").symlink_to("..")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    assert list(devices.walk(str(tmp_path))) == []


def test_what_belongs_to_somebody_else_is_left_out() -> None:
    found = {device.path for device in devices.walk("/dev")}
    assert "/dev/null" in found
    assert not [path for path in found if path.startswith(("/dev/pts/", "/dev/shm/")) or path in devices.SKIPPED]


def test_a_directory_that_is_unplugged_meanwhile(tmp_path: Path) -> None:
    assert list(devices.walk(f"{tmp_path}/bus")) == []
