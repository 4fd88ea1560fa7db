"""How containers ended, when nobody is left to say it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from conmon.records import StateRecord
from criserver.drivers.monitors import exits
from criserver.kernel import proc
from criserver.ports.monitor import ExitRecord

EXIT = {"version": 1, "id": "c1", "pid": 1, "exit_code": 7, "oom_killed": True, "finished_at": 123, "monitor": "lost"}


def write(path: Path, document: Any) -> None:
    path.write_text(document if isinstance(document, str) else json.dumps(document))


def test_record_on_disk(tmp_path: Path) -> None:
    assert exits.read(str(tmp_path)) is None
    write(tmp_path / "exit.json", EXIT)
    assert exits.read(str(tmp_path)) == ExitRecord(7, 123, oom_killed=True)


@pytest.mark.parametrize("document", ["", "{", "[]", '{"exit_code": "7"}'])
def test_damaged_records_are_none(tmp_path: Path, document: str) -> None:
    write(tmp_path / "exit.json", document)
    write(tmp_path / "state.json", document)
    assert exits.read(str(tmp_path)) is None
    assert exits.read_state(str(tmp_path)) is None


async def test_init_that_ended_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "_ROUNDS", 2)
    before = time.time_ns()
    record = await exits.after_loss(str(tmp_path), StateRecord(id="c1", pid=2**22 + 1))
    assert (record.exit_code, record.monitor_lost) == (255, True)
    assert before <= record.finished_at <= time.time_ns()


async def test_waits_for_a_live_init_and_then_for_the_zygotes_record(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as init:
        state = StateRecord(id="c1", pid=init.pid, pid_start=proc.start_time(init.pid) or 0)
        waiting = asyncio.gather(exits.after_loss(str(tmp_path), state))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        init.kill()
        init.wait()
        await asyncio.sleep(0.05)
        write(tmp_path / "exit.json", EXIT)
        assert (await asyncio.wait_for(waiting, 5))[0] == ExitRecord(7, 123, oom_killed=True)


@pytest.mark.parametrize(
    ("document", "cgroup"),
    [
        ({"linux": {"cgroupsPath": "/kubepods/pod1/criserver-c1"}}, "/kubepods/pod1/criserver-c1"),
        ({"linux": {"cgroupsPath": "a-b.slice:criserver:c1"}}, "/a.slice/a-b.slice/criserver-c1.scope"),
        ({"linux": {"cgroupsPath": "/"}}, ""),
        ({"linux": {"cgroupsPath": 1}}, ""),
        ({"linux": {}}, ""),
        ([], ""),
        ("not json", ""),
    ],
)
def test_cgroup_of_a_bundle(tmp_path: Path, document: Any, cgroup: str) -> None:
    write(tmp_path / "config.json", document)
    assert exits.container_cgroup(str(tmp_path)) == cgroup


def test_no_bundle(tmp_path: Path) -> None:
    assert exits.container_cgroup(os.path.join(tmp_path, "missing")) == ""
