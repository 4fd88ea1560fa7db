"""The operator's calls about traces, over a real socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.admin import admin, call
from criserver.api.admin_traces import TraceAdmin
from tests.support.grpc_server import serving
from tests.support.world import House, pod


async def ask(directory: Path, house: House, request: dict[str, Any], method: str = "Trace") -> Any:
    async with serving(directory, admin(TraceAdmin(house.traces, house.sandboxes))) as address:

        def blocking() -> Any:
            with grpc.insecure_channel(address) as channel:
                return call(channel, method, request)

        return await asyncio.to_thread(blocking)


@pytest.mark.parametrize("by", ["name", "namespace/name", "id", "the id's beginning"])
async def test_a_pod_by_whatever_names_it(tmp_path: Path, house: House, by: str) -> None:
    sandbox_id, _ = await house.running()
    await asyncio.sleep(0.1)
    names = {"name": "web", "namespace/name": "default/web", "id": sandbox_id, "the id's beginning": sandbox_id[:12]}
    answer = await ask(tmp_path, house, {"pod": names[by]})
    (found,) = answer["pods"]
    assert (found["pod"], found["sandbox_id"]) == ("default/web", sandbox_id)
    assert [each["operation"] for each in found["operations"]] == ["RunPodSandbox", "CreateContainer", "StartContainer"]
    stage = found["operations"][0]["stages"][0]
    assert (stage["name"], stage["failed"], stage["asked"][0]["kind"]) == ("reserve", False, "database")
    assert answer["now"] > found["operations"][0]["began"]


async def test_one_that_runs(tmp_path: Path, house: House) -> None:
    house.world.slow["Network.add"] = asyncio.Event()
    running = asyncio.get_running_loop().create_task(house.pods.run(pod(), ""))
    await asyncio.sleep(0.1)
    (operation,) = (await ask(tmp_path, house, {"pod": "web"}))["pods"][0]["operations"]
    assert operation["took"] is None
    assert [stage["name"] for stage in operation["stages"] if stage["duration"] is None] == ["network"]
    (also,) = (await ask(tmp_path, house, {}, "Running"))["operations"]
    assert (also["operation"], also["pod"], also["took"]) == ("RunPodSandbox", "default/web", None)
    house.world.slow["Network.add"].set()
    await running
    assert (await ask(tmp_path, house, {}, "Running"))["operations"] == []


@pytest.mark.parametrize(
    ("request_", "words"), [({}, "pod is missing"), ({"pod": ""}, "pod is missing"), ({"pod": "x"}, "nothing is known")]
)
async def test_refusals(tmp_path: Path, house: House, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(grpc.RpcError, match=words):
        await ask(tmp_path, house, request_)
