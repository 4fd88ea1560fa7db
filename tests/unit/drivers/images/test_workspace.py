"""Private directories: there for their user, gone afterwards, whatever happened."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from criserver.drivers.images.workspace import Workspaces
from criserver.errors import ResourceExhausted


def state(path: str) -> tuple[bool, int]:
    return os.path.isdir(path), stat.S_IMODE(os.stat(path).st_mode)


async def test_private_and_gone(tmp_path: Path) -> None:
    workspaces = Workspaces(str(tmp_path))
    async with workspaces.open() as first, workspaces.open() as second:
        assert first != second
        assert state(first) == (True, 0o700)
        (Path(first) / "deep" / "er").mkdir(parents=True)
    assert os.listdir(tmp_path / "tmp") == []


async def test_gone_after_an_error(tmp_path: Path) -> None:
    workspaces = Workspaces(str(tmp_path))
    with pytest.raises(KeyError):
        async with workspaces.open():
            raise KeyError
    assert os.listdir(tmp_path / "tmp") == []


async def test_clear_takes_what_is_ours(tmp_path: Path) -> None:
    workspaces = Workspaces(str(tmp_path))
    (tmp_path / "tmp" / "pull-left").mkdir()
    (tmp_path / "tmp" / "pull-left" / "auth.json").write_text("secret")
    (tmp_path / "tmp" / "others").mkdir()
    await workspaces.clear()
    assert os.listdir(tmp_path / "tmp") == ["others"]


async def test_what_nobody_has_open_is_left_over(tmp_path: Path) -> None:
    workspaces = Workspaces(str(tmp_path))
    (tmp_path / "tmp" / "pull-old" / "deep").mkdir(parents=True)
    async with workspaces.open():
        assert await workspaces.left_over() == {"pull-old"}
        await workspaces.discard(frozenset({"pull-old"}))
        await workspaces.discard(frozenset({"pull-old"}))
        assert await workspaces.left_over() == frozenset()
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    workspaces = Workspaces(str(tmp_path))
    with pytest.raises(ResourceExhausted, match="no space left in .*/tmp for a pull"):
        async with workspaces.open():
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError):
        async with workspaces.open():
            raise PermissionError(errno.EACCES, "Permission denied")
    assert os.listdir(tmp_path / "tmp") == []
