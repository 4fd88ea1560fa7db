"""oom_score_adj of running processes; raising one's own needs no privilege."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.kernel.oom_score import change

OWN = int(Path("/proc/self/oom_score_adj").read_text())


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Two processes with 900, and one that has chosen 950."""
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    for process, score in zip(processes, (900, 900, 950), strict=True):
        Path(f"/proc/{process.pid}/oom_score_adj").write_text(str(score))
    yield [process.pid for process in processes]
    for process in processes:
        process.kill()
        process.wait()


def score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_those_with_the_old_one_are_changed(children: list[int]) -> None:
    assert change(lambda: frozenset({0, 2**22 - 1, *children}), 900, 925) == 2
    assert [score(pid) for pid in children] == [925, 925, 950]
    assert change(lambda: frozenset(children), 900, 925) == 0


def test_children_born_meanwhile_are_found(children: list[int]) -> None:
    turns = iter([children[:1], children[:1], children[:2], children[:2]])
    assert change(lambda: frozenset(next(turns, children)), 900, 910) == 2


def test_who_has_left_is_let_alone(children: list[int]) -> None:
    looks = iter([children, []])
    assert change(lambda: frozenset(next(looks, [])), 900, 910) == 0
    assert score(children[0]) == 900
