"""What the server tells of itself and of its node, over a real socket."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from criserver import __version__
from criserver.api.node import NodeHandlers
from criserver.api.pb import api_pb2 as pb
from criserver.api.pb.api_pb2_grpc import RuntimeServiceStub
from criserver.api.service import service
from criserver.errors import InvalidArgument, Unavailable
from criserver.ports.network import NetworkStatus
from criserver.ports.runtime import Handler
from tests.support.fakes import FakeCgroups, FakeNetwork, FakeRuntime, World
from tests.support.grpc_server import serving


class Runtime(FakeRuntime):
    """Two handlers, unless `broken`."""

    broken = False

    def handler(self, name: str) -> Handler:
        if self.broken:
            raise InvalidArgument("runtime_handler '' is not here")
        return self.handlers()[0]

    def handlers(self) -> tuple[Handler, ...]:
        crun = Handler("crun", "oci", "/usr/bin/crun", (), recursive_read_only_mounts=True)
        runc = Handler("runc", "oci", "/usr/sbin/runc", (), lacks_user_namespaces="it has no idmapped mounts")
        return () if self.broken else (crun, runc)

    async def version(self) -> str:
        if self.broken:
            raise Unavailable("runc is missing: install it")
        return "1.1.5"


class Network(FakeNetwork):
    found = NetworkStatus(ready=True)

    async def status(self) -> NetworkStatus:
        return self.found


class Systemd(FakeCgroups):
    driver = "systemd"


class Node:
    def __init__(self) -> None:
        self.runtime, self.network = Runtime(World()), Network(World())

    def handlers(self, cgroups: FakeCgroups) -> NodeHandlers:
        return NodeHandlers(self.runtime, self.network, cgroups, lambda: {"root": "/var/lib/criserver"})


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def stub(tmp_path: Path, node: Node) -> AsyncIterator[Any]:
    generic = service(pb.DESCRIPTOR.services_by_name["RuntimeService"], node.handlers(FakeCgroups(World())))
    async with serving(tmp_path, generic) as address, grpc.aio.insecure_channel(address) as channel:
        yield RuntimeServiceStub(channel)


def conditions(answer: pb.StatusResponse) -> dict[str, tuple[bool, str, str]]:
    return {each.type: (each.status, each.reason, each.message) for each in answer.status.conditions}


async def test_version(stub: Any) -> None:
    answer = await stub.Version(pb.VersionRequest(version="0.1.0"))
    assert (answer.version, answer.runtime_name) == ("0.1.0", "criserver")
    assert (answer.runtime_version, answer.runtime_api_version) == (__version__, "v1")


async def test_a_node_that_is_ready(stub: Any) -> None:
    answer = await stub.Status(pb.StatusRequest())
    assert conditions(answer) == {"RuntimeReady": (True, "", ""), "NetworkReady": (True, "", "")}
    assert not answer.info


async def test_a_node_without_a_runtime(stub: Any, node: Node) -> None:
    node.runtime.broken = True
    answer = await stub.Status(pb.StatusRequest())
    assert conditions(answer)["RuntimeReady"] == (False, "RuntimeMissing", "runc is missing: install it")
    assert conditions(answer)["NetworkReady"][0] and list(answer.runtime_handlers) == []


async def test_a_node_without_a_network(stub: Any, node: Node) -> None:
    node.network.found = NetworkStatus(ready=False, reason="NetworkPluginNotReady", message="no configuration")
    found = conditions(await stub.Status(pb.StatusRequest()))
    assert found["NetworkReady"] == (False, "NetworkPluginNotReady", "no configuration")
    assert found["RuntimeReady"][0]


async def test_handlers_and_the_default_one_under_the_empty_name(stub: Any) -> None:
    handlers = (await stub.Status(pb.StatusRequest())).runtime_handlers
    found = [(each.name, each.features.recursive_read_only_mounts, each.features.user_namespaces) for each in handlers]
    features = (await stub.Status(pb.StatusRequest())).features
    assert features.supplemental_groups_policy and features.mount_options
    assert found == [("", True, True), ("crun", True, True), ("runc", False, False)]


async def test_a_verbose_status_shows_the_configuration(stub: Any) -> None:
    answer = await stub.Status(pb.StatusRequest(verbose=True))
    assert json.loads(answer.info["config"]) == {"root": "/var/lib/criserver"}
    assert json.loads(answer.info["runtime"]) == {"defaultHandler": "runc", "because": "crun is not installed"}
    server = json.loads(answer.info["server"])
    assert (server["version"], server["pid"]) == (__version__, os.getpid())
    assert server["versions"]["crun"] == "1.1.5"
    assert {"kernel", "python", "grpc"} <= server["versions"].keys()
    assert 0 <= time.time_ns() - server["startedAt"] < 60e9


async def test_the_cgroup_driver_that_a_kubelet_has_to_use(stub: Any, node: Node) -> None:
    answer = await stub.RuntimeConfig(pb.RuntimeConfigRequest())
    assert answer.linux.cgroup_driver == pb.CgroupDriver.CGROUPFS
    systemd = await node.handlers(Systemd(World())).RuntimeConfig(pb.RuntimeConfigRequest(), None)  # type: ignore[arg-type]
    assert systemd.linux.cgroup_driver == pb.CgroupDriver.SYSTEMD


async def test_a_pod_cidr_is_taken_note_of(stub: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        config = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr="10.1.0.0/24"))
        await stub.UpdateRuntimeConfig(pb.UpdateRuntimeConfigRequest(runtime_config=config))
        await stub.UpdateRuntimeConfig(pb.UpdateRuntimeConfigRequest())
    (line,) = [record for record in caplog.records if "pod CIDR" in record.message]
    assert vars(line)["pod_cidr"] == "10.1.0.0/24"
