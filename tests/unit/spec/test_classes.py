"""Classes that pods choose by annotation, and refusals that name what the node has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from criserver.errors import FailedPrecondition
from criserver.spec.assemble import build
from criserver.spec.classes import block_io, rdt
from criserver.spec.wish import HostFacts, Policy, SpecWish
from tests.support import wishes

RDT, BLOCK = "rdt.resources.beta.kubernetes.io", "blockio.resources.beta.kubernetes.io"
SLOW = {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}]}


def asking(pod: Mapping[str, str], own: Mapping[str, str] | None = None) -> SpecWish:
    wish = wishes.asking(annotations=own or {})
    return replace(
        wish,
        sandbox=replace(wish.sandbox, annotations=pod),
        host=HostFacts(rdt_classes=frozenset({"gold", "silver", "bronze"})),
        policy=Policy(block_io={"slow": SLOW}),
    )


def test_the_nearer_annotation_counts_more() -> None:
    pod = {f"{RDT}/pod": "bronze"}
    assert rdt(asking({})) == {}
    assert rdt(asking(pod)) == {"closID": "bronze"}
    assert rdt(asking({**pod, f"{RDT}/container.other": "gold"})) == {"closID": "bronze"}
    named = {**pod, f"{RDT}/container.web": "silver"}
    assert rdt(asking(named)) == {"closID": "silver"}
    assert rdt(asking(named, {"io.kubernetes.cri.rdt-class": "gold"})) == {"closID": "gold"}


def test_they_reach_the_document() -> None:
    document = build(asking({f"{RDT}/pod": "gold", f"{BLOCK}/container.web": "slow"}))
    assert document["linux"]["intelRdt"] == {"closID": "gold"}
    assert document["linux"]["resources"]["blockIO"] == SLOW
    plain = build(wishes.plain())
    assert "intelRdt" not in plain["linux"] and "blockIO" not in plain["linux"]["resources"]


def test_what_the_node_does_not_have_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="no class 'iron'; it has: bronze, gold, silver"):
        rdt(asking({f"{RDT}/pod": "iron"}))
    with pytest.raises(FailedPrecondition, match="no resctrl file system mounted"):
        rdt(replace(asking({f"{RDT}/pod": "gold"}), host=HostFacts()))
    with pytest.raises(FailedPrecondition, match="'fast'; it has: slow; describe it in runtime.block_io_classes"):
        block_io(asking({f"{BLOCK}/pod": "fast"}))
    with pytest.raises(FailedPrecondition, match="it has: none"):
        block_io(replace(asking({f"{BLOCK}/pod": "slow"}), policy=Policy()))
