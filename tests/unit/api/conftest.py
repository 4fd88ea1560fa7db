import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio

from criserver.api.containers import ContainerHandlers
from criserver.api.pb import api_pb2 as pb
from criserver.api.pb.api_pb2_grpc import RuntimeServiceStub
from criserver.api.pods import PodHandlers
from criserver.api.service import service
from criserver.lifecycle.running.exec import ExecService
from tests.support.grpc_server import serving
from tests.support.world import House


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A fresh server over fakes."""
    made = House(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def give_up(house: House, caplog: pytest.LogCaptureFixture) -> Callable[[Any, str], Awaitable[None]]:
    """Cancels a call that hangs at a method of the world, and waits until the server knows of it."""

    async def give_up(call: Any, method: str) -> None:
        async with asyncio.timeout(30):
            while method not in [name for name, _ in house.world.calls]:
                await asyncio.sleep(0.001)
            call.cancel()
            while "the caller gave up" not in caplog.text:
                await asyncio.sleep(0.001)

    return give_up


@pytest_asyncio.fixture
async def stub(tmp_path: Path, house: House) -> AsyncIterator[Any]:
    """The pod and container RPCs of `house` over a real socket."""
    handler = service(
        pb.DESCRIPTOR.services_by_name["RuntimeService"],
        PodHandlers(house.pods, house.sandboxes, house.powers.namespaces),
        ContainerHandlers(
            house.lives, ExecService(house.containers, house.powers), house.containers, house.powers.bundles
        ),
    )
    async with serving(tmp_path, handler) as address, grpc.aio.insecure_channel(address) as channel:
        yield RuntimeServiceStub(channel)
