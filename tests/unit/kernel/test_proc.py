"""Parsing of /proc files, and the identity of processes."""

from __future__ import annotations

import os
import subprocess

import pytest

from criserver.kernel import proc

REST = "1 1 1 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 {start} 4096 100 18446744073709551615"


@pytest.mark.parametrize("name", ["sh", "a b", "a) R 1 (b", "))) (", ""])
def test_start_time_whatever_the_command_is_called(name: str) -> None:
    assert proc.parse_start_time(f"12 ({name}) S {REST.format(start=98765)}\n") == 98765


@pytest.mark.parametrize("state", ["Z", "X"])
def test_dead_process_has_no_start_time(state: str) -> None:
    assert proc.parse_start_time(f"12 (sh) {state} {REST.format(start=98765)}\n") is None


def test_own_process() -> None:
    assert proc.start_time(os.getpid()) == proc.start_time(os.getpid())
    assert proc.status()["Pid"] == str(os.getpid())
    assert proc.status(os.getpid())["Name"] == proc.comm(os.getpid())
    assert len(proc.boot_id()) == 36


def test_process_that_has_ended() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert proc.start_time(child.pid) is None  # a zombie
    assert proc.start_time(child.pid) is None
    assert proc.comm(child.pid) is None
    assert proc.status(child.pid) == {}
