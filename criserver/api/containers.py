"""Handlers of the container RPCs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeAlias

from criserver.api.convert import container as convert
from criserver.api.convert import filters
from criserver.api.convert.pieces import pieces, whole
from criserver.api.delivery import on_delivery
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.lifecycle.reports.queries import list_containers
from criserver.lifecycle.running.containers import ContainerLifecycle
from criserver.lifecycle.running.exec import ExecService
from criserver.ports.bundles import Bundles
from criserver.state.containers import Containers

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ContainerHandlers:
    """Create, start, stop, remove, list, status, reopen log, ExecSync."""

    def __init__(self, lives: ContainerLifecycle, execs: ExecService, containers: Containers, bundles: Bundles) -> None:
        self._lives, self._execs, self._containers, self._bundles = lives, execs, containers, bundles

    async def CreateContainer(self, request: pb.CreateContainerRequest, context: Context) -> pb.CreateContainerResponse:
        """Make a container in a ready sandbox."""
        config = convert.container_config(request.config, request.sandbox_config)
        container_id = await self._lives.create(request.pod_sandbox_id, config)
        on_delivery(context, lambda: self._lives.delivered(container_id))
        return pb.CreateContainerResponse(container_id=container_id)

    async def StartContainer(self, request: pb.StartContainerRequest, _: Context) -> pb.StartContainerResponse:
        """Start a created container."""
        await self._lives.start(request.container_id)
        return pb.StartContainerResponse()

    async def StopContainer(self, request: pb.StopContainerRequest, _: Context) -> pb.StopContainerResponse:
        """Stop a container within `timeout` seconds; unknown ids are fine."""
        if request.timeout < 0:
            raise InvalidArgument(f"timeout: {request.timeout} is negative; give seconds, 0 to kill at once")
        await self._lives.stop(request.container_id, float(request.timeout))
        return pb.StopContainerResponse()

    async def RemoveContainer(self, request: pb.RemoveContainerRequest, _: Context) -> pb.RemoveContainerResponse:
        """Remove a container, killed first if it lives; unknown ids are fine."""
        await self._lives.remove(request.container_id)
        return pb.RemoveContainerResponse()

    async def ListContainers(self, request: pb.ListContainersRequest, _: Context) -> pb.ListContainersResponse:
        """Containers that match the filter."""
        rows = list_containers(self._containers, filters.container_filter(request.filter))
        answer = pb.ListContainersResponse(containers=[convert.container_item(row) for row in rows])
        return whole(answer, "StreamContainers")

    async def StreamContainers(
        self, request: pb.StreamContainersRequest, _: Context
    ) -> AsyncIterator[pb.StreamContainersResponse]:
        """ListContainers in pieces."""
        rows = list_containers(self._containers, filters.container_filter(request.filter))
        for piece in pieces(convert.container_item(row) for row in rows):
            yield pb.StreamContainersResponse(containers=piece)

    async def ContainerStatus(self, request: pb.ContainerStatusRequest, _: Context) -> pb.ContainerStatusResponse:
        """Everything about one container; verbose adds its OCI spec and pid, as JSON.

        The spec of a container that is being removed, or that an earlier boot has left, may be gone: it is null then.
        """
        row = self._containers.get(request.container_id)
        info = {}
        if request.verbose:
            spec = await self._bundles.find(row.id)
            row = self._containers.get(row.id)  # it may be gone by now, or have ended
            info = {"info": json.dumps(convert.container_info(row, spec))}
        return pb.ContainerStatusResponse(status=convert.container_status(row), info=info)

    async def ReopenContainerLog(
        self, request: pb.ReopenContainerLogRequest, _: Context
    ) -> pb.ReopenContainerLogResponse:
        """Open the log file anew after a rotation."""
        await self._lives.reopen_log(request.container_id)
        return pb.ReopenContainerLogResponse()

    async def ExecSync(self, request: pb.ExecSyncRequest, _: Context) -> pb.ExecSyncResponse:
        """Run a command to its end, its output bounded."""
        result = await self._execs.exec_sync(request.container_id, tuple(request.cmd), float(request.timeout))
        return pb.ExecSyncResponse(stdout=result.stdout, stderr=result.stderr, exit_code=result.exit_code)
