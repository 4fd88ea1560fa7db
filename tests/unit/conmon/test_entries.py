"""The list of what a zygote has running."""

from __future__ import annotations

import os
from pathlib import Path

from conmon import entries


def test_entries_name_process_and_container(tmp_path: Path) -> None:
    entries.sweep(str(tmp_path))
    link = entries.path(str(tmp_path), os.getpid(), entries.MONITOR, "a.b")
    entries.add(link, "/d")
    entries.add(link, "/e")
    (found,) = entries.read(str(tmp_path))
    assert (found.pid, found.kind, found.container, found.directory) == (os.getpid(), "monitor", "a.b", "/e")


def test_sweep_keeps_the_living(tmp_path: Path) -> None:
    entries.sweep(str(tmp_path))
    for pid in (os.getpid(), 2**22 + 1):
        entries.add(entries.path(str(tmp_path), pid, entries.CREATION, "c"), "/d")
    (tmp_path / entries.DIRECTORY / "foreign").touch()
    entries.sweep(str(tmp_path))
    assert [entry.pid for entry in entries.read(str(tmp_path))] == [os.getpid()]
