"""The kernel calls that need no privilege."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from conmon import linux


def test_name() -> None:
    old = Path("/proc/self/comm").read_text()
    try:
        linux.set_name(b"a-name-that-is-too-long")
        assert Path("/proc/self/comm").read_text() == "a-name-that-is-\n"
    finally:
        linux.set_name(old.strip().encode())


def test_errors_name_the_call_and_its_subject() -> None:
    with pytest.raises(OSError, match=r"mount tmpfs on /no/such: "):
        linux.mount("none", "/no/such", "tmpfs", 0)
    with pytest.raises(OSError, match=r"umount /no/such: "):
        linux.umount2("/no/such", 0)
    with pytest.raises(OSError, match="setns: Bad file descriptor"):
        linux.setns(-1, 0)
    with pytest.raises(OSError, match=r"prctl\(4, 77\): Invalid argument"):
        linux.prctl(linux.PR_SET_DUMPABLE, 77)


def in_fork(test: object) -> int:
    """The exit status of a fork that calls *test*."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            test()  # type: ignore[operator]
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _shares_files() -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    child = linux.clone(linux.SHARE_FILES)
    if child == 0:
        os.close(null)
        os._exit(0)
    os.waitpid(child, 0)
    try:
        os.fstat(null)
    except OSError:
        return
    raise AssertionError("the child's close is not seen")


def _keeps_files() -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    child = linux.clone(linux.FORK)
    if child == 0:
        os.close(null)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    os.fstat(null)


def _inherits_orphans() -> None:
    linux.set_child_subreaper()
    reader, writer = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.read(reader, 1)
        os._exit(0)
    os.wait()
    os.write(writer, b"x")
    os.wait()


def _signalfd_tells_of_children() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    fd = linux.signalfd_children()
    if os.fork() == 0:
        os._exit(0)
    os.set_blocking(fd, True)
    assert int.from_bytes(os.read(fd, 128)[:4], "little") == signal.SIGCHLD


@pytest.mark.parametrize("test", [_shares_files, _keeps_files, _inherits_orphans, _signalfd_tells_of_children])
def test_in_a_fork(test: object) -> None:
    assert in_fork(test) == 0
