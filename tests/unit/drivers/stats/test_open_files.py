from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.drivers.stats.open_files import IDLE_SECONDS, OpenFiles


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def descriptors(path: Path) -> int:
    """How many descriptors of this process lead to files below the path."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{fd}").startswith(str(path))
        except OSError:
            continue
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "memory.current"
    path.write_text("1\n")
    return path


def test_a_file_is_opened_once_and_says_what_is_true_now(file: Path) -> None:
    files = OpenFiles()
    assert [files.read(str(file)) for _ in range(3)] == ["1\n"] * 3
    assert descriptors(file.parent) == 1
    file.write_text("23\n")
    assert files.read(str(file)) == "23\n"
    assert files.read(str(file.parent / "none")) == ""


def test_one_that_says_nothing_is_opened_anew(file: Path) -> None:
    """As the kernel's files do once their cgroup is gone."""
    files = OpenFiles()
    files.read(str(file))
    file.write_text("")
    assert files.read(str(file)) == ""
    assert descriptors(file.parent) == 0
    file.unlink()
    file.write_text("5\n")
    assert files.read(str(file)) == "5\n"


def test_what_nobody_reads_is_closed(file: Path) -> None:
    clock = Clock()
    files = OpenFiles(clock=clock)
    files.read(str(file))
    clock.now = IDLE_SECONDS - 1
    files.tidy()
    assert descriptors(file.parent) == 1
    clock.now = IDLE_SECONDS + 1
    files.tidy()
    assert descriptors(file.parent) == 0
    assert files.read(str(file)) == "1\n"


def test_there_is_a_most_and_the_oldest_goes_first(tmp_path: Path) -> None:
    files = OpenFiles(most=2)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
        files.read(str(tmp_path / name))
    files.tidy()
    assert descriptors(tmp_path) == 2
    assert descriptors(tmp_path / "a") == 0
