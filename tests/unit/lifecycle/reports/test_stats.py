import pytest

from criserver.errors import NotFound
from criserver.lifecycle.reports.stats import StatsService
from criserver.model.container import ContainerFilter
from criserver.model.sandbox import SandboxFilter
from criserver.model.stats import DiskUsage, TaskUsage
from tests.support.stats_fakes import FakeStats
from tests.support.world import House, container, pod


def service(house: House, stats: FakeStats, period: float = 0) -> StatsService:
    return StatsService(house.sandboxes, house.containers, house.powers, stats, house.tasks, period=period)


async def test_a_running_container(house: House) -> None:
    _, container_id = await house.running()
    stats = service(house, FakeStats())
    first = await stats.container(container_id)
    (second,) = await stats.running(ContainerFilter())
    assert first.nano_cores is None, "one reading is no rate"
    assert second.nano_cores == 500_000_000
    assert second.disk == DiskUsage(1, len(f"/written/{container_id}"), 1)
    assert second.tasks is None


async def test_lists_are_of_running_containers_that_match(house: House) -> None:
    sandbox_id, container_id = await house.running()
    await house.lives.create(sandbox_id, container("created"))
    stats = service(house, FakeStats())
    assert [sample.row.id for sample in await stats.running(ContainerFilter())] == [container_id]
    assert await stats.running(ContainerFilter(sandbox_id="other")) == ()


async def test_a_container_without_a_cgroup_fails_nobody(house: House) -> None:
    _, container_id = await house.running()
    fake = FakeStats()
    fake.gone = {house.containers.get(container_id).cgroups_path}
    sample = await service(house, fake).container(container_id)
    assert (sample.usage, sample.nano_cores) == (None, None)
    assert sample.disk is not None


async def test_a_cgroup_that_was_made_anew_has_no_rate(house: House) -> None:
    _, container_id = await house.running()
    fake = FakeStats()
    stats = service(house, fake)
    fake.rounds = 5
    await stats.container(container_id)
    fake.rounds = 1
    assert (await stats.container(container_id)).nano_cores is None


async def test_unknown_ids_are_not_found(house: House) -> None:
    with pytest.raises(NotFound):
        await service(house, FakeStats()).container("none")
    with pytest.raises(NotFound):
        await service(house, FakeStats()).pod("none")


async def test_a_pod(house: House) -> None:
    sandbox_id, container_id = await house.running()
    stats = service(house, FakeStats())
    sample = await stats.pod(sandbox_id)
    assert sample.usage is not None
    assert sample.network is not None
    assert sample.network.interfaces[0].rx_bytes == len(f"/ns/{sandbox_id}/net")
    assert sample.tasks == TaskUsage(1, 3)
    assert [each.row.id for each in sample.containers] == [container_id]


async def test_lists_are_of_ready_pods_that_match(house: House) -> None:
    sandbox_id, _ = await house.running()
    stopped = await house.pods.run(pod("stopped"), "")
    await house.pods.stop(stopped)
    stats = service(house, FakeStats())
    assert [sample.row.id for sample in await stats.ready(SandboxFilter())] == [sandbox_id]
    assert await stats.ready(SandboxFilter(labels={"no": "such"})) == ()


async def test_details_are_read_for_metrics_alone(house: House) -> None:
    await house.running()
    fake = FakeStats()
    stats = service(house, fake)
    await stats.ready(SandboxFilter())
    assert set(fake.detailed) == {False}
    (sample,) = await stats.everything()
    assert True in fake.detailed
    assert sample.containers[0].tasks == TaskUsage(1, 3, files=9)
    assert sample.tasks is None, "no metric tells of the processes of a pod as a whole"


async def test_a_period_has_one_reading(house: House) -> None:
    await house.running()
    fake = FakeStats()
    stats = service(house, fake, period=60)
    for _ in range(3):
        await stats.running(ContainerFilter())
    assert fake.rounds == 1


async def test_what_all_containers_have_written(house: House) -> None:
    sandbox_id, container_id = await house.running()
    other = await house.lives.create(sandbox_id, container("created"))
    usage = await service(house, FakeStats()).written("/disk")
    expected = sum(len(f"/written/{key}") for key in (container_id, other))
    assert (usage.mountpoint, usage.used_bytes, usage.inodes_used) == ("/disk", expected, 2)
