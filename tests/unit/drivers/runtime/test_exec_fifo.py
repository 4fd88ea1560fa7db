"""An init that waits at its FIFO goes on; whoever is not one does not, and nothing blocks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from criserver.drivers.runtime import exec_fifo
from criserver.drivers.runtime.exec_fifo import release


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "exec.fifo"
    os.mkfifo(path)
    return path


def test_an_init_that_waits_goes_on_and_counts_as_running(fifo: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    # As runc's init does it: opening waits for a reader.
    with subprocess.Popen(["sh", "-c", f"printf 0 >{fifo}; echo started"], stdout=subprocess.PIPE) as init:
        assert release(str(fifo))
        assert init.stdout and init.stdout.read() == b"started\n"
    assert not fifo.exists()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not release(str(fifo)), "once"


def test_nobody_waits(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_fifo, "WAIT_MILLISECONDS", 20)
    before = len(os.listdir("/proc/self/fd"))
    assert not release(str(fifo))
    assert fifo.exists(), "or the runtime would take the container for one that runs"
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_init_that_dies_instead(fifo: Path) -> None:
    with subprocess.Popen(["sh", "-c", f"exec 3>{fifo}"]):
        assert not release(str(fifo))
    assert fifo.exists()


def test_what_is_no_fifo(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert not release(str(tmp_path / "empty")) and (tmp_path / "empty").exists()
    (tmp_path / "link").symlink_to("empty")
    with pytest.raises(OSError, match="symbolic"):
        release(str(tmp_path / "link"))
