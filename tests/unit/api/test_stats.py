from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.api.stats import StatsHandlers
from criserver.errors import NotFound
from criserver.lifecycle.stats import StatsService
from tests.support.stats_fakes import FakeStats
from tests.support.world import House

CONTEXT: Any = None


def handlers(house: House) -> StatsHandlers:
    service = StatsService(house.sandboxes, house.containers, house.powers, FakeStats(), house.tasks, period=60)
    return StatsHandlers(service, "/images")


async def test_one_listed_and_streamed_are_the_same(house: House) -> None:
    sandbox_id, container_id = await house.running()
    asked = handlers(house)
    one = await asked.ContainerStats(pb.ContainerStatsRequest(container_id=container_id), CONTEXT)
    assert one.stats.attributes.id == container_id
    assert one.stats.writable_layer.fs_id.mountpoint == "/images"
    listed = await asked.ListContainerStats(pb.ListContainerStatsRequest(), CONTEXT)
    assert list(listed.stats) == [one.stats]
    streamed = [message async for message in asked.StreamContainerStats(pb.StreamContainerStatsRequest(), CONTEXT)]
    assert [list(message.container_stats) for message in streamed] == [[one.stats]]

    pod = await asked.PodSandboxStats(pb.PodSandboxStatsRequest(pod_sandbox_id=sandbox_id), CONTEXT)
    assert list(pod.stats.linux.containers) == [one.stats]
    pods = await asked.ListPodSandboxStats(pb.ListPodSandboxStatsRequest(), CONTEXT)
    assert list(pods.stats) == [pod.stats]
    messages = [message async for message in asked.StreamPodSandboxStats(pb.StreamPodSandboxStatsRequest(), CONTEXT)]
    assert [list(message.pod_sandbox_stats) for message in messages] == [[pod.stats]]


async def test_filters_and_unknown_ids(house: House) -> None:
    await house.running()
    asked = handlers(house)
    other = pb.ContainerStatsFilter(label_selector={"no": "such"})
    assert not (await asked.ListContainerStats(pb.ListContainerStatsRequest(filter=other), CONTEXT)).stats
    stream = asked.StreamPodSandboxStats(
        pb.StreamPodSandboxStatsRequest(filter=pb.PodSandboxStatsFilter(id="f" * 64)), CONTEXT
    )
    assert [message async for message in stream] == []
    with pytest.raises(NotFound):
        await asked.ContainerStats(pb.ContainerStatsRequest(container_id="none"), CONTEXT)
    with pytest.raises(NotFound):
        await asked.PodSandboxStats(pb.PodSandboxStatsRequest(pod_sandbox_id="none"), CONTEXT)
