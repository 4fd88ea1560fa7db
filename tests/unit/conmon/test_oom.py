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


@pytest.mark.parametrize(
    ("there", "version", "ended_by", "kills"),
    [(True, 2, 9, 1), (False, 2, 9, 3), (False, 2, 15, 0), (False, 2, 0, 0), (False, 1, 9, 0)],
)
def test_the_pods_counter_speaks_for_a_cgroup_that_is_gone(
    tmp_path: Path, there: bool, version: int, ended_by: int, kills: int
) -> None:
    (tmp_path / "memory.events").write_text("oom_kill 7\n")
    own = tmp_path / "container" / "memory.events"
    if there:
        own.parent.mkdir()
        own.write_text("oom_kill 1\n")
    assert oom.kills_of_lost(str(own), version, 4, ended_by) == kills


def test_process_that_is_gone_has_no_counter() -> None:
    assert oom.counter_path(2**22 + 1) is None
