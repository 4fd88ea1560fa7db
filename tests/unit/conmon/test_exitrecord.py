"""State and exit records, and whose container a killed monitor's is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conmon import exitrecord, files
from conmon.requests import ContainerRequest

MESSAGE = {"id": "c", "directory": "/d", "bundle": "/b", "runtime": ["/r"]}


def state(tmp_path: Path, **changes: object) -> dict[str, object]:
    """A state record of this process as monitor and container, written to *tmp_path*."""
    record = exitrecord.state(dict(MESSAGE), ContainerRequest(dict(MESSAGE)), os.getpid(), os.getpid(), None)
    record.update(exit_path=str(tmp_path / "exit.json"), **changes)
    files.write_record(f"{tmp_path}/{exitrecord.STATE}", record)
    return record


def test_state_names_processes_by_pid_and_start(tmp_path: Path) -> None:
    record = state(tmp_path)
    assert record["pid"] == record["monitor_pid"] == os.getpid()
    assert record["pid_start"] == record["monitor_start"] != 0
    assert record["request"] == MESSAGE


@pytest.mark.parametrize(
    ("status", "code", "signal"), [(0, 0, 0), (7 << 8, 7, 0), (255 << 8, 255, 0), (9, 137, 9), (139, 139, 11)]
)
def test_exit_codes(status: int, code: int, signal: int) -> None:
    record = exitrecord.ended("c", 1, status)
    assert (record["exit_code"], record["signal"], record["oom_killed"]) == (code, signal, False)


def test_adopt_only_what_nobody_has_ended(tmp_path: Path) -> None:
    assert exitrecord.adopt(str(tmp_path), os.getpid()) is None
    record = state(tmp_path)
    assert exitrecord.adopt(str(tmp_path), os.getpid()) == record
    assert exitrecord.adopt(str(tmp_path), os.getpid() + 1) is None
    exitrecord.write_lost(record, 9)
    assert exitrecord.adopt(str(tmp_path), os.getpid()) is None
    assert json.loads((tmp_path / "exit.json").read_text())["monitor"] == "lost"


def test_lost_record_reads_the_counter_that_is_left(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("oom_kill 1\n")
    record = state(tmp_path, oom_path=str(tmp_path / "memory.events"))
    exitrecord.write_lost(record, 9)
    assert json.loads((tmp_path / "exit.json").read_text())["oom_killed"] is True
