"""The undo of every step of a container: it gives back its own, may be repeated, and never touches another's."""

from __future__ import annotations

import pytest

from criserver.lifecycle.running.container_steps import (
    BUNDLE,
    IMAGE_VOLUMES,
    MONITOR,
    ROOTFS,
    container_undoers,
    image_holder,
)
from tests.support.fakes import World, powers

THINGS = {
    BUNDLE: {("bundle", "c1"), ("lease", "container:c1")},
    ROOTFS: {("rootfs", "c1")},
    IMAGE_VOLUMES: {("volumes", "c1")},
    MONITOR: {("monitor", "c1")},
}


@pytest.mark.parametrize("step", sorted(THINGS))
async def test_an_undo_gives_back_its_own_and_no_more(step: str) -> None:
    others = {(kind, key.replace("c1", "c2")) for things in THINGS.values() for kind, key in things}
    mine = set().union(*THINGS.values())
    world = World(things=others | mine)
    undoers = container_undoers(powers(world))
    for _ in range(2):
        await undoers[step]("c1", "runc")
    assert world.things == others | mine - THINGS[step]


def test_every_step_has_an_undo() -> None:
    assert container_undoers(powers(World())).keys() == THINGS.keys()


async def test_a_container_is_dead_before_the_runtime_and_the_monitor_forget_it() -> None:
    world = World()
    await container_undoers(powers(world))[MONITOR]("c1", "runc")
    assert [name for name, _ in world.calls] == ["Monitors.kill_all", "Runtime.delete", "Monitors.forget"]


def test_the_holder_of_a_lease_tells_whose_it_is() -> None:
    assert image_holder("c1") == "container:c1"
