from __future__ import annotations

from dataclasses import replace

from criserver.doctor.finding import Severity
from criserver.doctor.neighbours import NeighbourFacts, judge

ALONE = NeighbourFacts("unix:///run/c.sock", "/etc/cni/net.d", None, "", (), "")


def told(facts: NeighbourFacts) -> dict[str, Severity]:
    return {each.what: each.severity for each in judge(facts)}


def test_alone() -> None:
    assert list(told(ALONE).values()) == [Severity.OK]


def test_our_own_server() -> None:
    facts = replace(ALONE, own=7, own_name="criserver")
    assert told(facts)["criserver (pid 7) listens on unix:///run/c.sock"] is Severity.OK


def test_another_with_the_same_network_directory() -> None:
    found = told(replace(ALONE, others=(("containerd", 9),)))
    assert found["containerd (pid 9) runs too, with the same CNI directory /etc/cni/net.d"] is Severity.WARNING


def test_another_apart() -> None:
    facts = replace(ALONE, others=(("containerd", 9),), conf_dir="/etc/criserver/net.d")
    assert told(facts) == {"containerd (pid 9) runs too": Severity.NOTE}


def test_crictl_that_points_elsewhere() -> None:
    found = list(judge(replace(ALONE, crictl="unix:///run/containerd/containerd.sock")))[-1]
    assert found.severity is Severity.NOTE
    assert found.fix == (
        "crictl config --set runtime-endpoint=unix:///run/c.sock --set image-endpoint=unix:///run/c.sock"
    )
