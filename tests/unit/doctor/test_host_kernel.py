from __future__ import annotations

from dataclasses import replace

import pytest

from criserver.doctor.finding import Severity
from criserver.doctor.host_kernel import KernelFacts, judge

GOOD = KernelFacts("6.1.0-28-amd64")


def worst(facts: KernelFacts) -> list[str]:
    return [each.what for each in judge(facts) if each.severity is Severity.ERROR]


def test_a_good_kernel() -> None:
    assert {each.severity for each in judge(GOOD)} == {Severity.OK}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(GOOD, release="4.19.0"), "Linux 4.19.0 is older than 5.10"),
        (replace(GOOD, release="5.9.16-generic"), "Linux 5.9.16-generic is older than 5.10"),
        (replace(GOOD, namespaces=GOOD.namespaces - {"user", "net"}), "no namespaces of kind net, user"),
        (replace(GOOD, overlay_trouble="unknown filesystem type"), "unknown filesystem type"),
        (replace(GOOD, links_trouble="Not supported"), "bridge and veth links cannot be made: Not supported"),
    ],
)
def test_what_keeps_pods_from_running(facts: KernelFacts, expected: str) -> None:
    found = worst(facts)
    assert len(found) == 1
    assert expected in found[0]


def test_idmapped_overlay_is_a_note() -> None:
    notes = [each for each in judge(replace(GOOD, release="5.15.0")) if each.severity is Severity.NOTE]
    assert "idmapped" in notes[0].what
