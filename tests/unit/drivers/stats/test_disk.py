import os
import subprocess
from pathlib import Path

from criserver.drivers.stats import disk


def du(path: Path, *options: str) -> int:
    return int(subprocess.run(["du", "-s", *options, path], capture_output=True, check=True).stdout.split()[0])


def test_the_figures_of_du(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_bytes(bytes(100_000))
    os.link(tmp_path / "a" / "file", tmp_path / "a" / "again")
    (tmp_path / "link").symlink_to("/usr")
    found = disk.measure(str(tmp_path), 7)
    assert found is not None
    assert (found.used, found.inodes) == (du(tmp_path, "-B512") * 512, du(tmp_path, "--inodes"))
    assert (found.taken_at, found.complete) == (7, True)
    room = os.statvfs(tmp_path)
    assert (found.capacity, found.inodes_total) == (room.f_blocks * room.f_frsize, room.f_files)
    assert found.device


def test_no_tree_is_none(tmp_path: Path) -> None:
    assert disk.measure(str(tmp_path / "none"), 1) is None
    (tmp_path / "link").symlink_to(tmp_path)
    assert disk.measure(str(tmp_path / "link"), 1) is None


def test_a_tree_with_too_many_entries_is_incomplete(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"d{number}").mkdir()
    found = disk.measure(str(tmp_path), 1, max_entries=5)
    assert found is not None
    assert not found.complete


def test_a_tree_that_is_too_deep_is_incomplete(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    found = disk.measure(str(tmp_path), 1)
    assert found is not None
    assert not found.complete
    assert 15 < found.inodes < 40
    subprocess.run(["rm", "-rf", tmp_path], check=True)
