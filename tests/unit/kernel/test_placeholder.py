"""A process that is only there, and gone when it is told to be."""

from __future__ import annotations

import os

import pytest

from criserver.kernel.placeholder import Placeholder


def test_it_is_there_until_it_is_ended() -> None:
    made = Placeholder()
    assert os.path.exists(f"/proc/{made.pid}")
    made.end()
    assert not os.path.exists(f"/proc/{made.pid}")


def test_one_that_was_killed_can_be_ended() -> None:
    made = Placeholder()
    os.kill(made.pid, 9)
    made.end()
    with pytest.raises(ChildProcessError):
        os.waitpid(made.pid, os.WNOHANG)
