"""The grace of a stop: who may shorten it, and that it runs out without a caller."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from criserver.lifecycle.running.stops import Stops
from tests.support.world import House


@dataclass
class Bench:
    """A running container, and what its stops did to it."""

    house: House
    stops: Stops
    id: str
    did: list[str] = field(default_factory=list)

    async def ask(self) -> None:
        self.did.append("ask")

    async def kill(self) -> None:
        self.did.append("kill")
        self.house.world.exit(self.id, 137)

    def stop(self, seconds: float) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        return loop.create_task(self.stops.stop(self.id, seconds, self.ask, self.kill))


@pytest.fixture
async def bench(house: House) -> Bench:
    _, container_id = await house.running()
    return Bench(house, Stops(house.exits, house.operations), container_id)


async def test_no_grace_is_no_question(bench: Bench) -> None:
    await bench.stop(0)
    assert bench.did == ["kill"]


async def test_who_ends_in_time_is_not_killed(bench: Bench) -> None:
    stopping = bench.stop(60)
    await asyncio.sleep(0.01)
    bench.house.world.exit(bench.id)
    await asyncio.wait_for(stopping, 5)
    assert bench.did == ["ask"]


async def test_the_grace_runs_out_though_the_caller_gave_up(bench: Bench) -> None:
    stopping = bench.stop(0.1)
    await asyncio.sleep(0.02)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    assert bench.did == ["ask"]
    assert await bench.house.exits.wait(bench.id, 5)
    assert bench.did == ["ask", "kill"]


async def test_less_time_counts_and_more_does_not(bench: Bench) -> None:
    first = bench.stop(60)
    await asyncio.sleep(0.01)
    longer, shorter = bench.stop(600), bench.stop(0.02)
    await asyncio.wait_for(asyncio.gather(first, longer, shorter), 5)
    assert bench.did == ["ask", "kill"]


async def test_a_shorter_stop_of_a_caller_that_gives_up_at_once_counts_too(bench: Bench) -> None:
    first, second = bench.stop(60), bench.stop(0.02)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait_for(first, 5)
    assert bench.did == ["ask", "kill"]


async def test_a_kill_that_failed_is_tried_again_without_a_second_question(bench: Bench) -> None:
    async def fails() -> None:
        raise RuntimeError("hangs in the kernel")

    with pytest.raises(RuntimeError):
        await bench.stops.stop(bench.id, 0.01, bench.ask, fails)
    await bench.stop(0.01)
    assert bench.did == ["ask", "kill"]


async def test_a_stop_of_the_server_does_not_wait_for_the_grace(bench: Bench) -> None:
    stopping = bench.stop(60)
    await asyncio.sleep(0.01)
    assert await bench.house.tasks.drain(5) == 0
    bench.house.world.exit(bench.id)
    await stopping
