"""Which paths may never answer, without asking them."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.drivers.host.far_paths import far

TYPES = {"/": "ext4", "/proc": "proc", "/sys": "sysfs"}


@pytest.fixture
def types(tmp_path: Path) -> dict[str, str]:
    """A table with an NFS mount at DIRECTORY/nfs and tmpfs at DIRECTORY/nfs/tmp."""
    return {**TYPES, f"{tmp_path}/nfs": "nfs4", f"{tmp_path}/nfs/tmp": "tmpfs", f"{tmp_path}/over": "ext4"}


def test_near(tmp_path: Path, types: dict[str, str]) -> None:
    for path in ("/", "", str(tmp_path), f"{tmp_path}/missing/below", f"{tmp_path}/nfsd", "/proc/uptime", "/sys"):
        assert far(path, types) == "", path


def test_far_by_text_and_by_links(tmp_path: Path, types: dict[str, str]) -> None:
    point = f"{tmp_path}/nfs"
    (tmp_path / "link").symlink_to("nfs/export")
    (tmp_path / "absolute").symlink_to(f"{point}/x")
    (tmp_path / "chain").symlink_to("absolute")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/up").symlink_to("../nfs")
    paths = ("nfs", "nfs/", "nfs/a/b", "./nfs", "sub/../nfs", "link", "absolute/y", "chain", "sub/up/z", "no/../nfs")
    for path in paths:
        assert far(f"{tmp_path}/{path}", types) == point, path
    assert far(f"{tmp_path}/nfs/tmp/x", types) == point, "the way leads through it"


def test_links_that_go_round_are_told_by_who_follows_them(tmp_path: Path, types: dict[str, str]) -> None:
    (tmp_path / "round").symlink_to("round")
    assert far(f"{tmp_path}/round", types) == ""


def test_links_of_procfs_lead_anywhere(types: dict[str, str]) -> None:
    assert far("/proc/self/root/mnt", types) == "/proc"
    assert far("/proc/self/cwd", types) == "/proc"


def test_what_is_mounted_below(tmp_path: Path, types: dict[str, str]) -> None:
    assert far(str(tmp_path), types) == ""
    assert far(str(tmp_path), types, below=True) == f"{tmp_path}/nfs"
    assert far(f"{tmp_path}/over", types, below=True) == ""
