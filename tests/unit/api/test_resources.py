"""The update RPCs: what is set reaches the lifecycle, what is unset is None, and wrong numbers name their field."""

from __future__ import annotations

from typing import Any, cast

import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.api.resources import ResourceHandlers
from criserver.errors import InvalidArgument
from criserver.lifecycle.running.updates import ResourceUpdates
from criserver.model.resources import LinuxResources


class Updates:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def container(self, *asked: Any) -> None:
        self.asked.append(asked)

    async def sandbox(self, *asked: Any) -> None:
        self.asked.append(asked)


@pytest.fixture
def updates() -> Updates:
    return Updates()


@pytest.fixture
def handlers(updates: Updates) -> ResourceHandlers:
    return ResourceHandlers(cast(ResourceUpdates, updates))


CONTEXT: Any = None


async def test_a_container(handlers: ResourceHandlers, updates: Updates) -> None:
    request = pb.UpdateContainerResourcesRequest(container_id="c", linux=pb.LinuxContainerResources(cpu_shares=5))
    await handlers.UpdateContainerResources(request, CONTEXT)
    assert updates.asked == [("c", LinuxResources(cpu_shares=5))]


async def test_a_pod(handlers: ResourceHandlers, updates: Updates) -> None:
    request = pb.UpdatePodSandboxResourcesRequest(pod_sandbox_id="p", overhead=pb.LinuxContainerResources())
    await handlers.UpdatePodSandboxResources(request, CONTEXT)
    assert updates.asked == [("p", LinuxResources(), None)]


async def test_wrong_numbers(handlers: ResourceHandlers, updates: Updates) -> None:
    wrong = pb.LinuxContainerResources(cpu_shares=-1)
    with pytest.raises(InvalidArgument, match=r"linux\.cpu_shares"):
        await handlers.UpdateContainerResources(pb.UpdateContainerResourcesRequest(linux=wrong), CONTEXT)
    with pytest.raises(InvalidArgument, match=r"resources\.cpu_shares"):
        await handlers.UpdatePodSandboxResources(pb.UpdatePodSandboxResourcesRequest(resources=wrong), CONTEXT)
    assert updates.asked == []
