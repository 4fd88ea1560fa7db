"""Mounts are made, found and unmade for real, in the test's own directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.kernel import mount


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory whose mounts are gone in the end."""
    yield tmp_path
    for entry in reversed(mount.mounts()):
        if entry.target.startswith(str(tmp_path)):
            mount.unmount(entry.target)


def test_stacked_mounts_go_at_once(directory: Path) -> None:
    for _ in range(3):
        mount.mount("test", str(directory), "tmpfs", mount.MS_NOSUID | mount.MS_NODEV, "size=64k,mode=700")
    assert mount.is_mountpoint(str(directory))
    assert mount.unmount(str(directory))
    assert not mount.is_mountpoint(str(directory))
    assert not mount.unmount(str(directory))


def test_busy_mount_is_detached(directory: Path) -> None:
    mount.mount("test", str(directory), "tmpfs")
    with (directory / "file").open("w"):
        assert mount.unmount(str(directory))
        assert not mount.is_mountpoint(str(directory))


def test_unmount_does_not_follow_links(directory: Path) -> None:
    target = directory / "target"
    target.mkdir()
    mount.mount("test", str(target), "tmpfs")
    (directory / "link").symlink_to(target)
    assert not mount.unmount(str(directory / "link"))
    assert mount.is_mountpoint(str(target))


def test_missing_target(directory: Path) -> None:
    assert not mount.unmount(str(directory / "missing"))
    assert not mount.is_mountpoint(str(directory / "missing"))
    with pytest.raises(FileNotFoundError):
        mount.mount("test", str(directory / "missing"), "tmpfs")


def test_bind(directory: Path) -> None:
    source, target = directory / "source", directory / "target"
    source.mkdir()
    target.mkdir()
    mount.bind(str(source), str(target))
    (target / "file").touch()
    assert os.listdir(source) == ["file"]


def test_recursive_bind_takes_mounts_along(directory: Path) -> None:
    source, target = directory / "source", directory / "target"
    (source / "sub").mkdir(parents=True)
    target.mkdir()
    mount.mount("test", str(source / "sub"), "tmpfs")
    (source / "sub/file").touch()
    mount.bind(str(source), str(target), recursive=True)
    assert os.listdir(target / "sub") == ["file"]


def test_propagation(directory: Path) -> None:
    mount.mount("test", str(directory), "tmpfs")

    def optional() -> tuple[str, ...]:
        return next(entry.optional for entry in mount.mounts() if entry.target == str(directory))

    mount.set_propagation(str(directory), mount.MS_SHARED)
    assert optional()[0].startswith("shared:")
    mount.set_propagation(str(directory), mount.MS_PRIVATE | mount.MS_REC)
    assert optional() == ()
