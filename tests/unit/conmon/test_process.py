"""Processes by /proc, and the end of a tree."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from conmon import process


def test_starttime_names_a_process() -> None:
    child = subprocess.Popen(["sleep", "100"])
    first = process.starttime(child.pid)
    assert first >= process.starttime(os.getpid()) > 0
    child.kill()
    child.wait()
    assert process.starttime(child.pid) == 0


@pytest.mark.parametrize(
    ("script", "expected"), [("exit 0", (0, 0)), ("exit 255", (255, 0)), ("kill -15 $$", (143, 15))]
)
def test_exit_code(script: str, expected: tuple[int, int]) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], {})
    assert process.exit_code(os.waitpid(pid, 0)[1]) == expected


def test_kill_tree_spares_its_root_and_misses_nobody() -> None:
    script = "(sleep 1001 & sleep 1002) & setsid sleep 1003 & sleep 1004"
    child = subprocess.Popen(["sh", "-c", f"sh -c '{script}' & wait"])
    while not {b"1001", b"1002", b"1003", b"1004"} <= {_last_argument(pid) for pid in process.descendants(child.pid)}:
        time.sleep(0.01)
    pids = process.descendants(child.pid)
    process.kill_tree(child.pid, [])
    child.wait()
    deadline = time.monotonic() + 5
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _last_argument(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().rstrip(b"\0").rpartition(b"\0")[2]
    except OSError:
        return b""


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_sending_to_nobody_is_fine() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    process.send(child.pid, signal.SIGKILL)


def test_pids_of_a_cgroup_that_is_gone() -> None:
    assert process.pids_in(["/no/such/cgroup.procs"]) == []


def test_oom_score_adj_is_clamped_and_never_fails() -> None:
    child = subprocess.Popen(["sleep", "100"])
    try:
        process.set_oom_score_adj(5000, child.pid)
        with open(f"/proc/{child.pid}/oom_score_adj") as file:
            assert file.read() == "1000\n"
        process.set_oom_score_adj(-5000, child.pid)
    finally:
        child.kill()
        child.wait()
