"""Handlers of the RPCs that concern the node: Version, Status, RuntimeConfig, UpdateRuntimeConfig."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from criserver import __version__
from criserver.api.pb import api_pb2 as pb
from criserver.errors import CriError
from criserver.ports.cgroups import Cgroups
from criserver.ports.network import Network
from criserver.ports.runtime import Handler, Runtime

if TYPE_CHECKING:
    import grpc.aio

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
KUBE_API_VERSION = "0.1.0"  # what the kubelet has always sent and expected in VersionRequest and VersionResponse
log = logging.getLogger(__name__)


class NodeHandlers:
    """What this server is and whether pods can run on it."""

    def __init__(
        self, runtime: Runtime, network: Network, cgroups: Cgroups, verbose: Callable[[], Mapping[str, Any]]
    ) -> None:
        """`verbose` is the configuration in force, shown by a verbose Status."""
        self._runtime, self._network, self._cgroups, self._verbose = runtime, network, cgroups, verbose
        self._started = time.time_ns()

    async def Version(self, _: pb.VersionRequest, __: Context) -> pb.VersionResponse:
        """Name and version of this server, and of the CRI."""
        return pb.VersionResponse(
            version=KUBE_API_VERSION,
            runtime_name="criserver",
            runtime_version=__version__,
            runtime_api_version="v1",
        )

    async def Status(self, request: pb.StatusRequest, _: Context) -> pb.StatusResponse:
        """RuntimeReady and NetworkReady with reasons, handlers and features."""
        conditions = [await self._runtime_ready(), await self._network_ready()]
        info = {}
        if request.verbose:
            info = {"config": json.dumps(self._verbose()), "runtime": self._default(), "server": await self._server()}
        return pb.StatusResponse(
            status=pb.RuntimeStatus(conditions=conditions),
            info=info,
            runtime_handlers=self._handlers(),
            features=pb.RuntimeFeatures(
                supplemental_groups_policy=True,
                mount_options=True,
                user_namespaces_host_network=any(not each.lacks_user_namespaces for each in self._runtime.handlers()),
            ),
        )

    async def RuntimeConfig(self, _: pb.RuntimeConfigRequest, __: Context) -> pb.RuntimeConfigResponse:
        """The cgroup driver that the kubelet must use too."""
        driver = pb.CgroupDriver.SYSTEMD if self._cgroups.driver == "systemd" else pb.CgroupDriver.CGROUPFS
        return pb.RuntimeConfigResponse(linux=pb.LinuxRuntimeConfiguration(cgroup_driver=driver))

    async def UpdateRuntimeConfig(
        self, request: pb.UpdateRuntimeConfigRequest, _: Context
    ) -> pb.UpdateRuntimeConfigResponse:
        """Taken note of: pod addresses come from the CNI configuration, which the node's network add-on writes."""
        if cidr := request.runtime_config.network_config.pod_cidr:
            log.info("the kubelet tells the node's pod CIDR", extra={"pod_cidr": cidr})
        return pb.UpdateRuntimeConfigResponse()

    async def _server(self) -> str:
        """This process, and the versions of what it stands on."""
        versions = {"kernel": platform.release(), "python": platform.python_version(), "grpc": grpc.__version__}
        with contextlib.suppress(CriError):  # the condition RuntimeReady says why
            versions[self._runtime.handler("").name] = await self._runtime.version()
        return json.dumps(
            {"version": __version__, "pid": os.getpid(), "startedAt": self._started, "versions": versions}
        )

    async def _runtime_ready(self) -> pb.RuntimeCondition:
        try:
            await self._runtime.version()
        except CriError as error:
            return pb.RuntimeCondition(type="RuntimeReady", status=False, reason="RuntimeMissing", message=str(error))
        return pb.RuntimeCondition(type="RuntimeReady", status=True)

    async def _network_ready(self) -> pb.RuntimeCondition:
        status = await self._network.status()
        return pb.RuntimeCondition(
            type="NetworkReady", status=status.ready, reason=status.reason, message=status.message
        )

    def _default(self) -> str:
        choice = self._runtime.choice
        return json.dumps({"defaultHandler": choice.handler, "because": choice.reason})

    def _handlers(self) -> list[pb.RuntimeHandler]:
        handlers = [_handler(each.name, each) for each in self._runtime.handlers()]
        try:
            # Listed under the empty name as well, which is what pods without a RuntimeClass ask for.
            return [_handler("", self._runtime.handler("")), *handlers]
        except CriError:
            return handlers


def _handler(name: str, handler: Handler) -> pb.RuntimeHandler:
    return pb.RuntimeHandler(
        name=name,
        features=pb.RuntimeHandlerFeatures(
            recursive_read_only_mounts=handler.recursive_read_only_mounts,
            user_namespaces=not handler.lacks_user_namespaces,
        ),
    )
