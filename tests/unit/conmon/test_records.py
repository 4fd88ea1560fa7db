"""Records on disk and in events, read by a daemon of another version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conmon import exitrecord, records


def test_exit_record_of_a_monitor_is_read(tmp_path: Path) -> None:
    written = exitrecord.ended("c", 5, 9, 2)
    (tmp_path / "exit.json").write_text(json.dumps({**written, "newer": 1}))
    record = records.read_exit(tmp_path / "exit.json")
    assert record == records.ExitRecord(
        exit_code=137, signal=9, oom_killed=True, oom_kills=2, finished_at=int(str(written["finished_at"])), pid=5
    )


def test_an_older_record_has_defaults() -> None:
    assert records.exit_record({"exit_code": 3}) == records.ExitRecord(exit_code=3)


@pytest.mark.parametrize("message", [{}, {"exit_code": "3"}, {"exit_code": True}, {"exit_code": 1, "oom_killed": 1}])
def test_a_damaged_record_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ExitRecord"):
        records.exit_record(message)


def test_missing_or_foreign_files_are_no_record(tmp_path: Path) -> None:
    assert records.read_exit(tmp_path / "none") is None
    for content in ("", "[]", "{", "[" * 5000):
        (tmp_path / "exit.json").write_text(content)
        assert records.read_exit(tmp_path / "exit.json") is None
    assert records.read_state(tmp_path) is None


def test_defaults_are_left_out_of_messages() -> None:
    assert records.to_message(records.PodInitSpec(id="x", net="/n")) == {"id": "x", "net": "/n"}
