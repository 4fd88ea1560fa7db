"""From a fork to a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from conmon import fork, protocol


def forked(body: Callable[..., int | None], *arguments: object) -> int:
    """The exit status of a fork that runs *body*."""
    pid = os.fork()
    if pid == 0:
        fork.run(body, *arguments)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_status_is_the_bodys() -> None:
    assert forked(lambda: None) == 0
    assert forked(lambda number: number, 5) == 5


def test_exception_is_reported_and_never_unwinds(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise KeyboardInterrupt("in the fork")

    assert forked(fail) == 1
    assert "in the fork" in capfd.readouterr().err


def test_only_what_is_kept_stays_open() -> None:
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(6)]
    keep = [fds[1], fds[4]]

    def body() -> int:
        fork.close_all_but(keep)
        return sum(_open(fd) << bit for bit, fd in enumerate(fds)) | (0 if all(map(_open, (0, 1, 2))) else 64)

    assert forked(body) == 0b010010
    for fd in fds:
        os.close(fd)


def _open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_unexpected_exception_is_told_to_the_client() -> None:
    reader, writer = os.pipe()

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        fork.guarded(writer, "the test", fail)
    _, payload = protocol.decode(os.read(reader, 1000))
    assert protocol.decode_message(payload) == {"seq": 0, "error": "the test failed: KeyError: 'x'"}
    os.close(reader)
    os.close(writer)
