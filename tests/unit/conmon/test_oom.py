"""The counters' texts, as kernels of both cgroup versions print them."""

from __future__ import annotations

from pathlib import Path

import pytest

from conmon import oom


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        ("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n", 2),
        ("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n", 0),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", 7),
        ("oom_kill_disable 0\nunder_oom 1\n", 1),
        ("", 0),
        ("oom_kill x\n", 0),
        ("oom_kill\n", 0),
    ],
)
def test_kills(text: str, kills: int) -> None:
    assert oom.parse_kills(text) == kills


def test_a_counter_that_is_gone_is_zero(tmp_path: Path) -> None:
    assert oom.read_kills(str(tmp_path / "memory.events")) == 0
    (tmp_path / "memory.events").write_text("oom_kill 4\n")
    assert oom.read_kills(str(tmp_path / "memory.events")) == 4


def test_process_that_is_gone_has_no_counter() -> None:
    assert oom.counter_path(2**22 + 1) is None
