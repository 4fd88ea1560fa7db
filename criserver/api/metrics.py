"""Handlers of the metrics RPCs: what the kubelet serves at /metrics/cadvisor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, Any, TypeAlias

from criserver.api.convert import metrics as convert
from criserver.api.convert.pieces import pieces, whole
from criserver.api.pb import api_pb2 as pb
from criserver.config.schema import MetricGroup
from criserver.lifecycle.reports.stats import StatsService

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class MetricHandlers:
    """ListMetricDescriptors, ListPodSandboxMetrics, StreamPodSandboxMetrics."""

    def __init__(self, stats: StatsService, groups: Collection[MetricGroup]) -> None:
        """Only metrics of `groups` are told, the same for as long as the server runs."""
        self._stats, self._groups = stats, frozenset(groups)

    async def ListMetricDescriptors(
        self, _: pb.ListMetricDescriptorsRequest, __: Context
    ) -> pb.ListMetricDescriptorsResponse:
        """Every metric that there may be."""
        return pb.ListMetricDescriptorsResponse(descriptors=convert.descriptors(self._groups))

    async def ListPodSandboxMetrics(
        self, _: pb.ListPodSandboxMetricsRequest, __: Context
    ) -> pb.ListPodSandboxMetricsResponse:
        """Metrics of ready pods and of what runs in them."""
        pods = [pod async for pod in self._pods()]
        return whole(pb.ListPodSandboxMetricsResponse(pod_metrics=pods), "StreamPodSandboxMetrics")

    async def StreamPodSandboxMetrics(
        self, _: pb.StreamPodSandboxMetricsRequest, __: Context
    ) -> AsyncIterator[pb.StreamPodSandboxMetricsResponse]:
        """ListPodSandboxMetrics in pieces."""
        for piece in pieces([pod async for pod in self._pods()]):
            yield pb.StreamPodSandboxMetricsResponse(pod_sandbox_metrics=piece)

    async def _pods(self) -> AsyncIterator[pb.PodSandboxMetrics]:
        """Each pod's, with a pause for others between two: thousands of messages are made."""
        for sample in await self._stats.everything():
            yield convert.pod_metrics(sample, self._groups)
            await asyncio.sleep(0)
