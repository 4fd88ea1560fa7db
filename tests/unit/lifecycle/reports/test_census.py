"""The gauges against what the fakes hold, and what a check finds."""

from __future__ import annotations

from criserver.lifecycle.reports.census import KERNEL_SECONDS, Census
from criserver.lifecycle.reports.events import Events
from criserver.model.findings import Finding, Kind, Verdict
from tests.support.world import House
from tests.unit.observe.test_metrics import scraped


class Checking:
    """A check that finds what it is told."""

    def __init__(self) -> None:
        self.findings: tuple[Finding, ...] = ()

    async def __call__(self) -> tuple[Finding, ...]:
        return self.findings


def census(house: House, check: Checking) -> Census:
    async def living() -> frozenset[str]:
        return frozenset(key for key in house.world.of("monitor") if not house.world.exits[key].done())

    events = Events(house.sandboxes, house.containers, house.powers.clock, house.metrics)
    return Census(
        house.sandboxes, house.containers, events, house.tasks, check, lambda: 3, living, house.metrics
    )  # fmt: skip


async def test_a_healthy_node(house: House) -> None:
    _, container_id = await house.running()
    counted = census(house, Checking())
    await counted.take()
    found = scraped(house.metrics)
    assert found["criserver_pods", "ready"] == 1
    assert found["criserver_pods", "notready"] == 0
    assert found["criserver_containers", "running"] == 1
    assert (found["criserver_monitors",], found["criserver_images",]) == (1, 3)
    assert found["criserver_background_tasks",] > 0
    kinds = {key: value for key, value in found.items() if key[0] in ("criserver_leftover", "criserver_missing")}
    assert len(kinds) == 2 * len(Kind)
    assert set(kinds.values()) == {0}
    house.world.exit(container_id)
    await counted.take()
    assert scraped(house.metrics)["criserver_monitors",] == 0


async def test_what_no_row_claims_and_what_a_row_misses(house: House) -> None:
    check = Checking()
    check.findings = (
        Finding(Verdict.LEFT_OVER, Kind.ROOT, "nobody", "f", "/x"),
        Finding(Verdict.LEFT_OVER, Kind.ROOT, "nobody", "e", "/y"),
        Finding(Verdict.MISSING, Kind.NET, "default/web", "d", ""),
        Finding(Verdict.UNFINISHED, "undo of network of RunPodSandbox", "nobody", "c", "journal"),
    )
    counted = census(house, check)
    await counted.take()
    found = scraped(house.metrics)
    assert found["criserver_leftover", "root mount"] == 2
    assert found["criserver_missing", "network namespace"] == 1
    assert found["criserver_leftover", "network namespace"] == found["criserver_missing", "root mount"] == 0
    assert found["criserver_unfinished",] == 1
    check.findings = ()
    await counted.take()
    assert scraped(house.metrics)["criserver_leftover", "root mount"] == 2, f"looked at once in {KERNEL_SECONDS} s"
    await census(house, check).take()
    assert scraped(house.metrics)["criserver_leftover", "root mount"] == 0
