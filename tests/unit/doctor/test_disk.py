from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from criserver.config.schema import Config
from criserver.doctor.disk import DirectoryFacts, judge, read
from criserver.doctor.finding import Severity

GIB = 1 << 30
ROOT = DirectoryFacts("root", "/r", "ext4", frozenset({"rw"}), 50 * GIB, 100 * GIB, 900_000, 1_000_000)
STATE = DirectoryFacts("state", "/s", "tmpfs", frozenset({"rw"}), GIB, 2 * GIB, 90_000, 100_000)


def test_room_enough() -> None:
    assert {each.severity for each in judge((ROOT, STATE))} == {Severity.OK}


@pytest.mark.parametrize(
    ("root", "words", "severity"),
    [
        (replace(ROOT, free=GIB), "root (/r, ext4) is full", Severity.ERROR),
        (replace(ROOT, size=600 << 20, free=500 << 20), "is full: 500 MiB of 600", Severity.ERROR),
        (replace(ROOT, free=10 * GIB), "root (/r, ext4) is nearly full", Severity.WARNING),
        (replace(ROOT, free_inodes=100), "is full: 100 of 1000000 inodes", Severity.ERROR),
        (replace(ROOT, options=frozenset({"rw", "noexec"})), "is mounted with noexec", Severity.ERROR),
        (replace(ROOT, options=frozenset({"rw", "nodev"})), "is mounted with nodev", Severity.WARNING),
        (replace(ROOT, inodes=0, free_inodes=0), "root (/r, ext4): 51200 MiB of 102400 are free", Severity.OK),
    ],
)
def test_what_is_said(root: DirectoryFacts, words: str, severity: Severity) -> None:
    assert [each.severity for each in judge((root, STATE)) if words in each.what] == [severity]


def test_a_state_that_survives_a_reboot_is_a_note() -> None:
    found = [each for each in judge((ROOT, replace(STATE, fstype="ext4"))) if each.severity is Severity.NOTE]
    assert "not on tmpfs" in found[0].what


async def test_directories_that_are_not_there_yet(tmp_path: Path) -> None:
    facts = await read(Config(root=f"{tmp_path}/a/b", state="/proc/none"))
    assert facts[0].size > 0
    assert facts[1].fstype == "proc"
