"""Pidfds name one process: its end is seen, and another one of the same pid is not taken for it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from criserver.kernel import pidfd, proc


async def test_signal_and_end() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        fd = pidfd.open_pidfd(child.pid, proc.start_time(child.pid))
        assert fd is not None
        try:
            assert not os.get_inheritable(fd)
            waiting = asyncio.gather(pidfd.ended(fd))
            await asyncio.sleep(0.02)
            assert not waiting.done()
            assert pidfd.send_signal(fd, signal.SIGKILL)
            await asyncio.wait_for(waiting, 5)
            child.wait()
            assert not pidfd.send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)


def test_another_process_of_the_same_pid() -> None:
    started = proc.start_time(os.getpid())
    assert started is not None
    assert pidfd.open_pidfd(os.getpid(), started - 1) is None


def test_a_thread_that_has_the_pid_of_a_process_that_is_gone() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        assert pidfd.open_pidfd(thread.native_id, 1) is None
    finally:
        over.set()
        thread.join()


def test_process_that_is_gone() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert pidfd.open_pidfd(child.pid) is None


def test_exit_status_of_another_ones_child() -> None:
    if tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 15):
        pytest.skip("PIDFD_INFO_EXIT needs Linux 6.15")
    script = "read x; exit 7"
    with subprocess.Popen(["sh", "-c", f"sh -c '{script}'; echo $?"], stdin=-1, stdout=-1, text=True) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        while not (found := children.read_text()):
            pass
        fd = pidfd.open_pidfd(int(found))
        assert fd is not None
        try:
            assert pidfd.exit_status(fd) is None
            assert parent.communicate("go\n")[0] == "7\n"
            assert pidfd.exit_status(fd) == 7 << 8
        finally:
            os.close(fd)


def test_exit_status_of_what_is_no_pidfd() -> None:
    with open("/dev/null", "rb") as file:
        assert pidfd.exit_status(file.fileno()) is None
