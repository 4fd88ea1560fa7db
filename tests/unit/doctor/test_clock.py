from __future__ import annotations

from criserver.doctor.clock import EARLIEST, ClockFacts, judge
from criserver.doctor.finding import Severity

NOW = EARLIEST.timestamp() + 86400


def severity(facts: ClockFacts) -> list[Severity]:
    return [each.severity for each in judge(facts)]


def test_a_clock_that_was_never_set() -> None:
    assert severity(ClockFacts(0)) == [Severity.ERROR]


def test_nobody_keeps_it_right() -> None:
    assert severity(ClockFacts(NOW, synchronized=False)) == [Severity.NOTE]


def test_a_good_clock() -> None:
    assert severity(ClockFacts(NOW, synchronized=True)) == [Severity.OK]
    assert severity(ClockFacts(NOW)) == [Severity.OK], "nobody to ask is no fault"
