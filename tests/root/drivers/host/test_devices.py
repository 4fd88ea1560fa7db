"""Device nodes as they are made for disks and the like, in a directory of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.drivers.host import devices
from criserver.model.host import HostDevice


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    old = os.umask(0)
    try:
        (tmp_path / "deep").mkdir()
        os.mknod(tmp_path / "disk", 0o60640, os.makedev(259, 300))
        os.mknod(tmp_path / "deep/serial", 0o20660, os.makedev(4, 64))
    finally:
        os.umask(old)
    os.chown(tmp_path / "deep/serial", 5, 20)
    return tmp_path


def test_a_directory_stands_for_all_that_are_in_it(nodes: Path) -> None:
    assert set(devices.at(str(nodes))) == {
        HostDevice(f"{nodes}/disk", "b", 259, 300, 0o640, 0, 0),
        HostDevice(f"{nodes}/deep/serial", "c", 4, 64, 0o660, 5, 20),
    }


def test_one_that_goes_while_others_are_looked_at(nodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = devices._device

    def look_and_unplug(path: str, status: os.stat_result) -> tuple[HostDevice, ...]:
        for name in ("disk", "deep/serial"):
            if path != f"{nodes}/{name}":
                (nodes / name).unlink()
        return look(path, status)

    monkeypatch.setattr(devices, "_device", look_and_unplug)
    assert len(list(devices.walk(str(nodes)))) == 1
