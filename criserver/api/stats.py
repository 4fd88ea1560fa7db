"""Handlers of the stats RPCs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeAlias

from criserver.api.convert import stats as convert
from criserver.api.convert.pieces import pieces, whole
from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.reports.stats import StatsService

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class StatsHandlers:
    """ContainerStats and PodSandboxStats, one, listed and streamed."""

    def __init__(self, stats: StatsService, mountpoint: str) -> None:
        """`mountpoint` names the file system of writable layers, as ImageFsInfo does."""
        self._stats, self._mountpoint = stats, mountpoint

    async def ContainerStats(self, request: pb.ContainerStatsRequest, _: Context) -> pb.ContainerStatsResponse:
        """One container; one that has ended still has its disk usage."""
        sample = await self._stats.container(request.container_id)
        return pb.ContainerStatsResponse(stats=convert.container_stats(sample, self._mountpoint))

    async def ListContainerStats(
        self, request: pb.ListContainerStatsRequest, _: Context
    ) -> pb.ListContainerStatsResponse:
        """Running containers that match the filter."""
        return whole(
            pb.ListContainerStatsResponse(stats=await self._containers(request.filter)), "StreamContainerStats"
        )

    async def StreamContainerStats(
        self, request: pb.StreamContainerStatsRequest, _: Context
    ) -> AsyncIterator[pb.StreamContainerStatsResponse]:
        """ListContainerStats in pieces."""
        for piece in pieces(await self._containers(request.filter)):
            yield pb.StreamContainerStatsResponse(container_stats=piece)

    async def PodSandboxStats(self, request: pb.PodSandboxStatsRequest, _: Context) -> pb.PodSandboxStatsResponse:
        """One pod."""
        sample = await self._stats.pod(request.pod_sandbox_id)
        return pb.PodSandboxStatsResponse(stats=convert.pod_stats(sample, self._mountpoint))

    async def ListPodSandboxStats(
        self, request: pb.ListPodSandboxStatsRequest, _: Context
    ) -> pb.ListPodSandboxStatsResponse:
        """Ready pods that match the filter."""
        return whole(pb.ListPodSandboxStatsResponse(stats=await self._pods(request.filter)), "StreamPodSandboxStats")

    async def StreamPodSandboxStats(
        self, request: pb.StreamPodSandboxStatsRequest, _: Context
    ) -> AsyncIterator[pb.StreamPodSandboxStatsResponse]:
        """ListPodSandboxStats in pieces."""
        for piece in pieces(await self._pods(request.filter)):
            yield pb.StreamPodSandboxStatsResponse(pod_sandbox_stats=piece)

    async def _containers(self, wanted: pb.ContainerStatsFilter) -> list[pb.ContainerStats]:
        samples = await self._stats.running(convert.container_filter(wanted))
        return [convert.container_stats(sample, self._mountpoint) for sample in samples]

    async def _pods(self, wanted: pb.PodSandboxStatsFilter) -> list[pb.PodSandboxStats]:
        samples = await self._stats.ready(convert.sandbox_filter(wanted))
        return [convert.pod_stats(sample, self._mountpoint) for sample in samples]
