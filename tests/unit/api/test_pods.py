"""The sandbox RPCs over a real socket, on lifecycles over fakes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import grpc.aio
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.errors import NetworkFailed
from tests.support.cri import pod_config
from tests.support.world import House


async def run(stub: Any, name: str = "web", **more: Any) -> str:
    config = pod_config(name)
    config.MergeFrom(pb.PodSandboxConfig(**more))
    return str((await stub.RunPodSandbox(pb.RunPodSandboxRequest(config=config))).pod_sandbox_id)


async def failure(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code(), failed.value.details() or ""


async def listed(stub: Any, **wanted: Any) -> list[str]:
    answer = await stub.ListPodSandbox(pb.ListPodSandboxRequest(filter=pb.PodSandboxFilter(**wanted)))
    return sorted(item.id for item in answer.items)


async def test_the_life_of_a_pod(stub: Any, house: House) -> None:
    sandbox_id = await run(stub, labels={"app": "web"})
    status = (await stub.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))).status
    assert (status.id, status.metadata.name, status.state) == (sandbox_id, "web", pb.PodSandboxState.SANDBOX_READY)
    assert status.network.ip == "10.88.0.2" and dict(status.labels) == {"app": "web"}
    await stub.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))
    status = (await stub.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))).status
    assert status.state == pb.PodSandboxState.SANDBOX_NOTREADY
    await stub.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
    assert await listed(stub) == [] and house.world.things == set()


async def test_stop_and_remove_of_what_is_not_there(stub: Any) -> None:
    await stub.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id="nobody"))
    await stub.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id="nobody"))
    code, words = await failure(stub.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id="nobody")))
    assert code is grpc.StatusCode.NOT_FOUND and "'nobody'" in words


async def test_lists_by_filter(stub: Any) -> None:
    first, second = await run(stub, "a", labels={"tier": "x"}), await run(stub, "b", labels={"tier": "y"})
    await stub.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=second))
    assert await listed(stub) == sorted([first, second])
    assert await listed(stub, label_selector={"tier": "x"}) == [first]
    assert await listed(stub, id=second[:12]) == [second]
    ready = pb.PodSandboxStateValue(state=pb.PodSandboxState.SANDBOX_READY)
    assert await listed(stub, state=ready) == [first]


async def test_a_verbose_status_is_json(stub: Any) -> None:
    sandbox_id = await run(stub)
    request = pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
    info = json.loads((await stub.PodSandboxStatus(request)).info["info"])
    assert info["state"] == "READY" and info["cgroupParent"] == f"/pods/{sandbox_id}"


async def test_a_request_without_meaning_and_a_network_that_fails(stub: Any, house: House) -> None:
    code, words = await failure(stub.RunPodSandbox(pb.RunPodSandboxRequest()))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and words.startswith("config.metadata: missing")
    house.world.fail["Network.add"] = NetworkFailed("plugin bridge: no more addresses")
    assert await failure(run(stub)) == (grpc.StatusCode.UNKNOWN, "plugin bridge: no more addresses")
    assert await listed(stub) == []


async def test_a_name_is_taken_once_its_id_was_read(stub: Any, house: House) -> None:
    sandbox_id = await run(stub)
    async with asyncio.timeout(30):  # the server notes it just after the caller has the answer
        while not house.deliveries.noted(house.sandboxes.get(sandbox_id)):
            await asyncio.sleep(0.001)
    code, words = await failure(run(stub))
    assert code is grpc.StatusCode.ALREADY_EXISTS and sandbox_id in words


async def test_the_retry_of_a_caller_that_gave_up_gets_the_pod(stub: Any, house: House, give_up: Any) -> None:
    house.world.slow["Network.add"] = asyncio.Event()
    await give_up(stub.RunPodSandbox(pb.RunPodSandboxRequest(config=pod_config("web"))), "Network.add")
    house.world.slow["Network.add"].set()
    await house.tasks.drain(30)
    (row,) = house.sandboxes
    assert await run(stub) == row.id
