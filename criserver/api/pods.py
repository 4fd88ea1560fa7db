"""Handlers of the sandbox RPCs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeAlias

from criserver.api.convert import filters
from criserver.api.convert import sandbox as convert
from criserver.api.convert.pieces import pieces, whole
from criserver.api.delivery import on_delivery
from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.mending import claims
from criserver.lifecycle.reports.queries import list_sandboxes
from criserver.lifecycle.running.pods import PodLifecycle
from criserver.ports.namespaces import Namespaces
from criserver.state.sandboxes import Sandboxes

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class PodHandlers:
    """RunPodSandbox, StopPodSandbox, RemovePodSandbox, PodSandboxStatus, ListPodSandbox, StreamPodSandboxes."""

    def __init__(self, pods: PodLifecycle, sandboxes: Sandboxes, namespaces: Namespaces) -> None:
        self._pods, self._sandboxes, self._namespaces = pods, sandboxes, namespaces

    async def RunPodSandbox(self, request: pb.RunPodSandboxRequest, context: Context) -> pb.RunPodSandboxResponse:
        """Make a pod sandbox."""
        sandbox_id = await self._pods.run(convert.sandbox_config(request.config), request.runtime_handler)
        on_delivery(context, lambda: self._pods.delivered(sandbox_id))
        return pb.RunPodSandboxResponse(pod_sandbox_id=sandbox_id)

    async def StopPodSandbox(self, request: pb.StopPodSandboxRequest, _: Context) -> pb.StopPodSandboxResponse:
        """Stop a pod sandbox; unknown ids are fine."""
        await self._pods.stop(request.pod_sandbox_id)
        return pb.StopPodSandboxResponse()

    async def RemovePodSandbox(self, request: pb.RemovePodSandboxRequest, _: Context) -> pb.RemovePodSandboxResponse:
        """Remove a pod sandbox; unknown ids are fine."""
        await self._pods.remove(request.pod_sandbox_id)
        return pb.RemovePodSandboxResponse()

    async def PodSandboxStatus(self, request: pb.PodSandboxStatusRequest, _: Context) -> pb.PodSandboxStatusResponse:
        """Everything about one sandbox; verbose adds what this server keeps of it, as JSON."""
        row = self._sandboxes.get(request.pod_sandbox_id)
        info = {}
        if request.verbose:
            pinned = {kind: self._namespaces.path(row.id, kind) for kind in claims.namespaces(row)}
            info = {"info": json.dumps(convert.sandbox_info(row, pinned))}
        return pb.PodSandboxStatusResponse(status=convert.sandbox_status(row), info=info)

    async def ListPodSandbox(self, request: pb.ListPodSandboxRequest, _: Context) -> pb.ListPodSandboxResponse:
        """Sandboxes that match the filter."""
        rows = list_sandboxes(self._sandboxes, filters.sandbox_filter(request.filter))
        answer = pb.ListPodSandboxResponse(items=[convert.sandbox_item(row) for row in rows])
        return whole(answer, "StreamPodSandboxes")

    async def StreamPodSandboxes(
        self, request: pb.StreamPodSandboxesRequest, _: Context
    ) -> AsyncIterator[pb.StreamPodSandboxesResponse]:
        """ListPodSandbox in pieces."""
        rows = list_sandboxes(self._sandboxes, filters.sandbox_filter(request.filter))
        for piece in pieces(convert.sandbox_item(row) for row in rows):
            yield pb.StreamPodSandboxesResponse(pod_sandboxes=piece)
