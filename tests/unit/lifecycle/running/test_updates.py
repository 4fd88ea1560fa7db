"""What an update asks of kernel and runtime, and what the rows say after it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from criserver.errors import FailedPrecondition, InvalidArgument, NotFound, RuntimeFailed
from criserver.lifecycle.running.updates import ResourceUpdates
from criserver.model.resources import HugepageLimit, LinuxResources
from criserver.model.stats import CgroupUsage, MemoryUsage
from criserver.ports.stats import Stats
from criserver.spec.wish import HostFacts, Policy
from tests.support.fakes import FakeRuntime
from tests.support.world import House, container, pod

USED = 5000


class Readings:
    """Port Stats, of which a memory figure is asked."""

    async def cgroups(self, names: Collection[str], *, detailed: bool) -> Mapping[str, CgroupUsage]:
        return {name: CgroupUsage(1, memory=MemoryUsage(USED, USED, USED)) for name in names}


@pytest.fixture
def updates(house: House) -> ResourceUpdates:
    facts = HostFacts(hugepage_sizes=frozenset({"2MB"}))
    readings = cast(Stats, Readings())
    return ResourceUpdates(
        house.sandboxes, house.containers, house.powers, readings, house.operations, house.locks, lambda: facts,
        {"runc": Policy(minimum_memory=500)}.__getitem__,
    )


async def running(house: House, **limits: Any) -> str:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container(resources=LinuxResources(**limits)))
    await house.lives.start(container_id)
    return container_id


async def test_what_is_asked_for_counts_and_the_rest_stays(house: House, updates: ResourceUpdates) -> None:
    container_id = await running(house, cpu_shares=100, memory_limit_in_bytes=9000, oom_score_adj=7)
    await updates.container(container_id, LinuxResources(memory_limit_in_bytes=8000, oom_score_adj=900))
    assert house.world.limits[container_id] == {
        "cpu": {"shares": 100}, "memory": {"limit": 8000, "swap": 8000}
    }  # fmt: skip
    row = house.containers.get(container_id)
    assert row.resources == LinuxResources(cpu_shares=100, memory_limit_in_bytes=8000, oom_score_adj=900)
    assert house.world.oom_scores == [(row.cgroups_path, 7, 900)]
    assert row.config.resources.memory_limit_in_bytes == 9000, "what was asked at first is still known"


async def test_an_update_that_asks_for_nothing(house: House, updates: ResourceUpdates) -> None:
    container_id = await running(house)
    await updates.container(container_id, LinuxResources())
    assert container_id not in house.world.limits


async def test_refusals_change_nothing(house: House, updates: ResourceUpdates) -> None:
    container_id = await running(house, memory_limit_in_bytes=9000)
    before = house.containers.get(container_id)
    refused: list[tuple[LinuxResources, type[Exception], str]] = [
        (LinuxResources(memory_limit_in_bytes=USED - 1), FailedPrecondition, "below the 5000 bytes"),
        (LinuxResources(cpu_quota=1), InvalidArgument, r"linux\.cpu_quota"),
        (LinuxResources(hugepage_limits=(HugepageLimit("2MB", 1 << 21),)), FailedPrecondition, "hugepage_limits"),
    ]
    for asked, kind, words in refused:
        with pytest.raises(kind, match=words):
            await updates.container(container_id, asked)
    house.world.fail["Runtime.update"] = RuntimeFailed("no such file")
    with pytest.raises(RuntimeFailed, match="no such file"):
        await updates.container(container_id, LinuxResources(cpu_shares=5))
    assert house.containers.get(container_id) == before and container_id not in house.world.limits


async def test_the_kubelets_no_huge_pages_of_any_size(house: House, updates: ResourceUpdates) -> None:
    container_id = await running(house)
    await updates.container(
        container_id, LinuxResources(cpu_shares=5, hugepage_limits=(HugepageLimit("2MB", 0), HugepageLimit("1GB", 0)))
    )
    assert house.world.limits[container_id] == {"cpu": {"shares": 5}}


async def test_only_what_lives_takes_limits(house: House, updates: ResourceUpdates) -> None:
    container_id = await running(house)
    sandbox_id = house.containers.get(container_id).sandbox_id
    await house.pods.stop(sandbox_id)
    with pytest.raises(FailedPrecondition, match="EXITED"):
        await updates.container(container_id, LinuxResources(cpu_shares=5))
    with pytest.raises(FailedPrecondition, match="NOTREADY"):
        await updates.sandbox(sandbox_id, None, LinuxResources(cpu_shares=5))
    for call in (updates.container("absent", LinuxResources()), updates.sandbox("absent", None, None)):
        with pytest.raises(NotFound):
            await call


async def test_crun_cannot_write_that_there_is_no_quota(
    house: House, updates: ResourceUpdates, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = FakeRuntime.handler
    monkeypatch.setattr(FakeRuntime, "handler", lambda self, name: replace(known(self, name), type="crun"))
    container_id = await running(house, cpu_quota=50000)
    await updates.container(container_id, LinuxResources(cpu_quota=-1, cpu_shares=5))
    row = house.containers.get(container_id)
    assert house.world.limits[row.cgroups_path] == {"cpu": {"quota": -1}}
    assert house.world.limits[container_id] == {"cpu": {"shares": 5}} and row.resources.cpu_quota == -1


async def test_a_pod_has_its_containers_limits_and_the_overhead(house: House, updates: ResourceUpdates) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    overhead, limits = LinuxResources(memory_limit_in_bytes=100), LinuxResources(memory_limit_in_bytes=4000)
    await updates.sandbox(sandbox_id, overhead, limits)
    row = house.sandboxes.get(sandbox_id)
    assert house.world.limits[row.cgroup_parent] == {"memory": {"limit": 4100, "swap": 4100}}
    assert (row.overhead, row.resources) == (overhead, limits)
    await updates.sandbox(sandbox_id, None, LinuxResources(memory_limit_in_bytes=5000))
    assert house.world.limits[row.cgroup_parent]["memory"]["limit"] == 5100, "what is unset stays"


async def test_a_caller_that_gives_up_leaves_row_and_kernel_agreed(house: House, updates: ResourceUpdates) -> None:
    container_id = await running(house)
    house.world.slow["Runtime.update"] = gate = asyncio.Event()
    asked = LinuxResources(cpu_shares=5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(updates.container(container_id, asked), 0.05)
    again = asyncio.create_task(updates.container(container_id, asked))  # noqa: TID251 - the test holds it
    gate.set()
    await again
    assert house.containers.get(container_id).resources == asked
    assert [name for name, _ in house.world.calls].count("Runtime.update") == 1
