from typing import Any

from criserver.api.metrics import MetricHandlers
from criserver.api.pb import api_pb2 as pb
from criserver.config.schema import MetricGroup
from criserver.lifecycle.reports.stats import StatsService
from tests.support.stats_fakes import FakeStats
from tests.support.world import House, pod

CONTEXT: Any = None


def handlers(house: House, *groups: MetricGroup) -> MetricHandlers:
    service = StatsService(house.sandboxes, house.containers, house.powers, FakeStats(), house.tasks, period=60)
    return MetricHandlers(service, groups)


async def test_ready_pods_listed_and_streamed_are_the_same(house: House) -> None:
    sandbox_id, container_id = await house.running()
    stopped = await house.pods.run(pod("stopped"), "")
    await house.pods.stop(stopped)
    asked = handlers(house, *MetricGroup)
    listed = await asked.ListPodSandboxMetrics(pb.ListPodSandboxMetricsRequest(), CONTEXT)
    assert [each.pod_sandbox_id for each in listed.pod_metrics] == [sandbox_id]
    assert [each.container_id for each in listed.pod_metrics[0].container_metrics] == [container_id]
    stream = asked.StreamPodSandboxMetrics(pb.StreamPodSandboxMetricsRequest(), CONTEXT)
    assert [list(message.pod_sandbox_metrics) async for message in stream] == [list(listed.pod_metrics)]


async def test_only_the_configured_groups_are_told(house: House) -> None:
    await house.running()
    asked = handlers(house, MetricGroup.NETWORK)
    names = await asked.ListMetricDescriptors(pb.ListMetricDescriptorsRequest(), CONTEXT)
    assert len(names.descriptors) == 8
    (found,) = (await asked.ListPodSandboxMetrics(pb.ListPodSandboxMetricsRequest(), CONTEXT)).pod_metrics
    assert {each.name for each in found.metrics} == {each.name for each in names.descriptors}
    assert not found.container_metrics[0].metrics
