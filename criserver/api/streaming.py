"""Handlers of the RPCs that answer with the URL of a streaming session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.lifecycle.running.streams import Attach, Exec, Forward
from criserver.ports.streams import Wanted
from criserver.streaming.server import StreamingServer

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_MAX_PORT = 65535


class StreamHandlers:
    """Exec, Attach, PortForward."""

    def __init__(self, server: StreamingServer) -> None:
        self._server = server

    async def Exec(self, request: pb.ExecRequest, _: Context) -> pb.ExecResponse:
        """A URL at which the command runs."""
        wish = Exec(request.container_id, tuple(request.cmd), _wanted(request))
        return pb.ExecResponse(url=self._server.url(wish))

    async def Attach(self, request: pb.AttachRequest, _: Context) -> pb.AttachResponse:
        """A URL at which the container's own streams are."""
        return pb.AttachResponse(url=self._server.url(Attach(request.container_id, _wanted(request))))

    async def PortForward(self, request: pb.PortForwardRequest, _: Context) -> pb.PortForwardResponse:
        """A URL at which the pod's ports are."""
        for port in request.port:
            if not 0 < port <= _MAX_PORT:
                raise InvalidArgument(f"port: {port} is no TCP port; give one from 1 to {_MAX_PORT}")
        return pb.PortForwardResponse(url=self._server.url(Forward(request.pod_sandbox_id, tuple(request.port))))


def _wanted(request: pb.ExecRequest | pb.AttachRequest) -> Wanted:
    return Wanted(stdin=request.stdin, stdout=request.stdout, stderr=request.stderr, tty=request.tty)
