"""Handlers of the RPCs that change limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from criserver.api.convert.resources import linux_resources
from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.running.updates import ResourceUpdates

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ResourceHandlers:
    """UpdateContainerResources and UpdatePodSandboxResources."""

    def __init__(self, updates: ResourceUpdates) -> None:
        self._updates = updates

    async def UpdateContainerResources(
        self, request: pb.UpdateContainerResourcesRequest, _: Context
    ) -> pb.UpdateContainerResourcesResponse:
        """Set new limits of a container that lives; zero and empty fields stay as they are."""
        await self._updates.container(request.container_id, linux_resources(request.linux, "linux"))
        return pb.UpdateContainerResourcesResponse()

    async def UpdatePodSandboxResources(
        self, request: pb.UpdatePodSandboxResourcesRequest, _: Context
    ) -> pb.UpdatePodSandboxResourcesResponse:
        """Set new limits of a pod's cgroup; what is unset stays as it is."""
        overhead = linux_resources(request.overhead, "overhead") if request.HasField("overhead") else None
        limits = linux_resources(request.resources, "resources") if request.HasField("resources") else None
        await self._updates.sandbox(request.pod_sandbox_id, overhead, limits)
        return pb.UpdatePodSandboxResourcesResponse()
