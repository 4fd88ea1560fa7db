"""The undo of every step of a pod: it gives back its own, may be repeated, and needs no more than id and detail."""

from __future__ import annotations

import pytest

from criserver.lifecycle.running.pod_steps import CGROUP, FILES, NAMESPACES, NETWORK, POD_INIT, pod_undoers
from criserver.state.codec import encode
from tests.support.fakes import World, powers
from tests.support.world import pod

DETAILS = {CGROUP: "/pods/s1", POD_INIT: "/pods/s1/init", NETWORK: encode(pod()).decode(), FILES: "", NAMESPACES: ""}
THINGS = {
    FILES: {("files", "s1")},
    NAMESPACES: {("namespaces", "s1"), ("ns-net", "s1"), ("ns-pid", "s1")},
    CGROUP: {("cgroup", "/pods/s1")},
    NETWORK: {("address", "s1")},
    POD_INIT: {("cgroup", "/pods/s1/init")},
}


@pytest.mark.parametrize("step", sorted(THINGS))
async def test_an_undo_gives_back_its_own_and_no_more(step: str) -> None:
    others = {(kind, key.replace("s1", "s2")) for things in THINGS.values() for kind, key in things}
    mine = set().union(*THINGS.values())
    world = World(things=others | mine)
    undoers = pod_undoers(powers(world))
    for _ in range(2):
        await undoers[step]("s1", DETAILS[step])
    assert world.things == others | mine - THINGS[step]


def test_every_step_has_an_undo() -> None:
    assert pod_undoers(powers(World())).keys() == DETAILS.keys()


async def test_a_pod_init_is_killed_before_its_cgroup_goes() -> None:
    world = World()
    await pod_undoers(powers(world))[POD_INIT]("s1", "/pods/s1/init")
    assert world.calls == [("Cgroups.kill", "/pods/s1/init"), ("Cgroups.remove", "/pods/s1/init")]
