"""Operations on a house of fakes, as they are traced, counted and told of."""

from __future__ import annotations

import asyncio
import logging

import pytest

from criserver.errors import NetworkFailed
from criserver.lifecycle.reports import traces as module
from criserver.lifecycle.reports.traces import Traces
from criserver.observe.trace import Trace, traceparent
from criserver.state.traces import Traces as TraceRows
from tests.support.world import House, container, pod
from tests.unit.observe.test_metrics import scraped


async def written(house: House) -> None:
    """Traces are written beside operations: wait for them."""
    while any(task.get_name().startswith("trace of") for task in asyncio.all_tasks()):
        await asyncio.sleep(0.01)


async def test_the_start_of_a_pod_is_three_operations_with_their_stages(house: House) -> None:
    sandbox_id, container_id = await house.running()
    await written(house)
    run, create, start = await house.traces.of("default/web")
    assert [(each.operation, each.container) for each in (run, create, start)] == [
        ("RunPodSandbox", ""), ("CreateContainer", "main"), ("StartContainer", "main"),
    ]  # fmt: skip
    assert {each.sandbox_id for each in (run, create, start)} == {sandbox_id}
    assert (run.container_id, create.container_id, start.container_id) == ("", container_id, container_id)
    assert {"reserve", "namespaces", "files", "network", "commit"} <= {stage.name for stage in run.stages}
    assert [stage.name for stage in start.stages] == ["runtime start", "commit"]
    for trace in (run, create, start):
        assert trace.took is not None and trace.error == ""
        assert all(stage.duration is not None and not stage.failed for stage in trace.stages)
    found = scraped(house.metrics)
    assert found["criserver_operation_duration_seconds_count", "RunPodSandbox", "done"] == 1
    assert found["criserver_stage_duration_seconds_count", "CreateContainer", "runtime create"] == 1


async def test_traces_survive_a_restart(house: House) -> None:
    await house.running()
    await written(house)
    before = await house.traces.of("default/web")
    again = house.restarted()
    assert await again.traces.of("default/web") == before
    assert len(before) == 3
    again.database.close()
    house.__post_init__()


async def test_a_running_operation_says_in_which_stage_it_is(house: House) -> None:
    house.world.slow["Network.add"] = asyncio.Event()
    running = asyncio.get_running_loop().create_task(house.pods.run(pod(), ""))
    while not (seen := house.traces.running()) or "network" not in [stage.name for stage in seen[0].stages]:
        await asyncio.sleep(0.01)
    (trace,) = await house.traces.of("default/web")
    assert trace.took is None
    assert [stage.name for stage in trace.stages if stage.duration is None] == ["network"]
    house.world.slow["Network.add"].set()
    await running
    assert house.traces.running() == ()


async def test_a_failure_is_kept_with_its_words_and_counted(house: House) -> None:
    house.world.fail["Network.add"] = NetworkFailed("no address left")
    with pytest.raises(NetworkFailed):
        await house.pods.run(pod(), "")
    await written(house)
    (trace,) = await house.traces.of("default/web")
    assert trace.error == "no address left"
    assert [stage.name for stage in trace.stages if stage.failed] == ["network"]
    assert scraped(house.metrics)["criserver_operation_duration_seconds_count", "RunPodSandbox", "failed"] == 1


async def test_a_slow_stage_is_logged_with_the_pods_name_and_counted(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        await house.pods.run(pod(f"quick-{number}"), "")
    assert "slow stage" not in caplog.text
    house.world.slow["Network.add"] = asyncio.Event()
    running = asyncio.get_running_loop().create_task(house.pods.run(pod("slow"), ""))
    await asyncio.sleep(0.25)
    house.world.slow["Network.add"].set()
    with caplog.at_level(logging.WARNING):
        await running
    (record,) = [each for each in caplog.records if "slow stage" in each.message]
    assert record.message == "slow stage: network of RunPodSandbox"
    assert {"took", "usual"} <= vars(record).keys()
    assert scraped(house.metrics)["criserver_slow_stages_total", "RunPodSandbox", "network"] == 1


async def test_an_operation_that_hangs_is_logged_before_it_ends(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HANGS_SECONDS", 0.05)
    house.world.slow["Network.add"] = asyncio.Event()
    running = asyncio.get_running_loop().create_task(house.pods.run(pod(), ""))
    async with asyncio.timeout(10):
        while "RunPodSandbox still runs, in stage network" not in caplog.text:
            await asyncio.sleep(0.01)
    house.world.slow["Network.add"].set()
    await running


async def test_each_is_exported_with_the_callers_place(house: House) -> None:
    exported: list[Trace] = []
    traces = Traces(TraceRows(house.database), house.tasks, house.metrics, exported.append)
    traceparent.set("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    sandbox_id = await house.pods.run(pod(), "")
    sandbox = house.sandboxes.get(sandbox_id)
    with traces.operation("CreateContainer", sandbox) as stages, stages.stage("spec"):
        assert exported == []
    assert [(each.operation, each.parent[:5], each.took is not None) for each in exported] == [
        ("CreateContainer", "00-aa", True)
    ]
    await written(house)


async def test_containers_that_come_and_go_do_not_fill_the_database(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    for number in range(3):
        await house.lives.create(sandbox_id, container(f"c{number}"))
    await written(house)
    assert len(await house.traces.of(sandbox_id[:12])) == 4
    assert await house.traces.of("default/other") == ()
