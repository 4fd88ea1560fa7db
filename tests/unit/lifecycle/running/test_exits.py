"""Ends of containers: from the monitor's record to the row, once, and before anybody is told."""

from __future__ import annotations

import asyncio

import pytest

from criserver.errors import RuntimeFailed
from criserver.lifecycle.running.exits import reason
from criserver.model.container import ContainerState
from criserver.ports.monitor import ExitRecord
from tests.support.world import House, container, pod


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ExitRecord(0, 1), "Completed"),
        (ExitRecord(1, 1), "Error"),
        (ExitRecord(137, 1, oom_killed=True), "OOMKilled"),
        (ExitRecord(0, 1, oom_killed=True), "OOMKilled"),
        (ExitRecord(255, 1, monitor_lost=True), "Unknown"),
    ],
)
def test_reasons_as_the_kubelet_shows_them(record: ExitRecord, expected: str) -> None:
    assert reason(record) == expected


async def test_who_waits_finds_the_end_in_the_row(house: House) -> None:
    _, container_id = await house.running()
    waiting = [asyncio.get_running_loop().create_task(house.exits.wait(container_id, 30)) for _ in range(3)]
    await asyncio.sleep(0)
    house.world.exit(container_id, 3)
    assert await asyncio.gather(*waiting) == [True] * 3
    row = house.containers.get(container_id)
    assert (row.state, row.exit_code, row.pid, row.reason) == (ContainerState.EXITED, 3, 0, "Error")
    assert await house.exits.wait(container_id, 0)


async def test_a_wait_that_is_too_short_says_so(house: House) -> None:
    _, container_id = await house.running()
    assert not await house.exits.wait(container_id, 0.01)
    assert house.containers.get(container_id).state is ContainerState.RUNNING


async def test_nobody_waits_for_what_is_not_watched(house: House) -> None:
    assert await house.exits.wait("nobody", None)


async def test_watching_twice_is_watching_once(house: House) -> None:
    _, container_id = await house.running()
    house.exits.watch(container_id)
    house.world.exit(container_id)
    assert await house.exits.wait(container_id, 30)
    while ("Runtime.delete", container_id) not in house.world.calls:
        await asyncio.sleep(0.001)
    assert house.world.calls.count(("Runtime.delete", container_id)) == 1


async def test_an_end_while_the_container_starts_comes_after_the_start(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container())
    house.world.slow["Runtime.start"] = asyncio.Event()
    starting = asyncio.get_running_loop().create_task(house.lives.start(container_id))
    while ("Runtime.start", container_id) not in house.world.calls:
        await asyncio.sleep(0.001)
    house.world.exit(container_id, 9)
    assert not await house.exits.wait(container_id, 0.05), "the start holds the container's lock"
    house.world.slow["Runtime.start"].set()
    await starting
    assert await house.exits.wait(container_id, 30)
    row = house.containers.get(container_id)
    assert (row.state, row.exit_code) == (ContainerState.EXITED, 9) and row.started_at


async def test_a_runtime_that_cannot_clean_up_is_told_and_does_not_matter(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    _, container_id = await house.running()
    house.world.fail["Runtime.delete"] = RuntimeFailed("cgroup busy")
    house.world.exit(container_id)
    assert await house.exits.wait(container_id, 30)
    while not any("cgroup busy" in record.message for record in caplog.records):
        await asyncio.sleep(0.001)
    house.world.fail.clear()
    await house.lives.remove(container_id)
    assert len(house.containers) == 0


async def test_a_row_that_has_ended_otherwise_is_not_written_again(house: House) -> None:
    _, container_id = await house.running()
    await house.containers.update(container_id, state=ContainerState.EXITED, exit_code=128, reason="StartError")
    house.world.exit(container_id, 0)
    assert await house.exits.wait(container_id, 30)
    assert house.containers.get(container_id).exit_code == 128


async def test_only_the_first_stop_is_the_first(house: House) -> None:
    _, container_id = await house.running()
    assert [house.exits.first_stop(container_id) for _ in range(3)] == [True, False, False]


async def test_a_lost_monitor_is_said(house: House) -> None:
    _, container_id = await house.running()
    row = house.containers.get(container_id)
    await house.exits.settle(row, ExitRecord(255, 5, monitor_lost=True))
    row = house.containers.get(container_id)
    assert (row.reason, row.exit_code) == ("Unknown", 255)
    assert "how is not known" in row.message and "zygote were killed" in row.message
