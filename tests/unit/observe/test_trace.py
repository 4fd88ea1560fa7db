"""What is usual of stages."""

from __future__ import annotations

import pytest

from criserver.observe.trace import Usual


def test_nothing_is_slow_before_something_is_usual() -> None:
    usual = Usual()
    assert [usual.slow("Run", "network", 5.0) for _ in range(5)] == [None] * 5


@pytest.mark.parametrize(
    ("usually", "taken", "slow"), [(0.05, 0.2, True), (0.05, 0.14, False), (0.01, 0.09, False), (2.0, 5.9, False)]
)
def test_slow_is_three_times_the_median_and_a_tenth_of_a_second(usually: float, taken: float, slow: bool) -> None:
    usual = Usual()
    for seconds in (usually, usually, usually / 2, usually, usually * 2):
        usual.slow("Run", "network", seconds)
    assert usual.slow("Run", "network", taken) == (usually if slow else None)


def test_stages_are_told_apart_and_old_ones_forgotten() -> None:
    usual = Usual()
    for _ in range(200):
        usual.slow("Run", "network", 0.01)
        usual.slow("Run", "files", 10.0)
    for _ in range(100):
        usual.slow("Run", "network", 1.0)
    assert usual.slow("Run", "network", 1.5) is None, "what was quick a hundred times ago is no longer usual"
    assert usual.slow("Run", "files", 10.0) is None
