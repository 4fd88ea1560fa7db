"""The gauges against what the fakes hold."""

from __future__ import annotations

from criserver.lifecycle import census as module
from criserver.lifecycle.census import Census
from criserver.lifecycle.events import Events
from tests.support.world import House
from tests.unit.observe.test_metrics import scraped


def census(house: House) -> Census:

    async def living() -> frozenset[str]:
        return frozenset(key for key in house.world.of("monitor") if not house.world.exits[key].done())

    events = Events(house.sandboxes, house.containers, house.powers.clock, house.metrics)
    return Census(
        house.sandboxes, house.containers, house.powers, events, house.tasks, lambda: 3, living, house.metrics
    )


async def test_a_healthy_node(house: House) -> None:
    await house.running()
    await census(house).take()
    found = scraped(house.metrics)
    assert found["criserver_pods", "ready"] == 1
    assert found["criserver_pods", "notready"] == 0
    assert found["criserver_containers", "running"] == 1
    assert (found["criserver_monitors",], found["criserver_images",]) == (1, 3)
    assert found["criserver_background_tasks",] > 0
    kinds = {key: value for key, value in found.items() if key[0] in ("criserver_leftover", "criserver_missing")}
    assert len(kinds) == 8
    assert set(kinds.values()) == {0}


async def test_what_no_row_claims_and_what_a_row_misses(house: House) -> None:
    sandbox_id, container_id = await house.running()
    things = house.world.things
    things |= {("rootfs", "f" * 64), ("namespaces", "e" * 64)}
    counted = census(house)
    await counted.take()
    found = scraped(house.metrics)
    assert found["criserver_leftover", "root"] == found["criserver_leftover", "namespaces"] == 1
    assert found["criserver_leftover", "bundle"] == 0
    things -= {("rootfs", "f" * 64), ("namespaces", "e" * 64), ("namespaces", sandbox_id), ("monitor", container_id)}
    await counted.take()
    assert scraped(house.metrics)["criserver_leftover", "root"] == 1, "the kernel is looked at once in ten seconds"
    await census(house).take()
    found = scraped(house.metrics)
    assert found["criserver_leftover", "root"] == 0
    assert found["criserver_missing", "namespaces"] == found["criserver_missing", "monitor"] == 1
    assert module.KERNEL_SECONDS > 1
