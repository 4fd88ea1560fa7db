"""The container RPCs over a real socket, on lifecycles over fakes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.ports.monitor import ExecResult
from tests.support.cri import container_config, pod_config
from tests.support.fakes import IMAGE, FakeMonitors
from tests.support.world import House


@dataclass
class Pod:
    stub: Any
    id: str

    def request(self, name: str = "main", **more: Any) -> pb.CreateContainerRequest:
        config = container_config(name, "sleep", "1000", image=IMAGE.repo_tags[0])
        config.MergeFrom(pb.ContainerConfig(**more))
        return pb.CreateContainerRequest(pod_sandbox_id=self.id, config=config, sandbox_config=pod_config("web"))

    async def create(self, name: str = "main", **more: Any) -> str:
        return str((await self.stub.CreateContainer(self.request(name, **more))).container_id)

    async def start(self, container_id: str) -> None:
        await self.stub.StartContainer(pb.StartContainerRequest(container_id=container_id))

    async def status(self, container_id: str) -> pb.ContainerStatus:
        answer = await self.stub.ContainerStatus(pb.ContainerStatusRequest(container_id=container_id))
        status: pb.ContainerStatus = answer.status
        return status

    async def listed(self, **wanted: Any) -> list[str]:
        answer = await self.stub.ListContainers(pb.ListContainersRequest(filter=pb.ContainerFilter(**wanted)))
        return sorted(item.id for item in answer.containers)


@pytest.fixture
async def pod(stub: Any) -> Pod:
    answer = await stub.RunPodSandbox(pb.RunPodSandboxRequest(config=pod_config("web")))
    return Pod(stub, answer.pod_sandbox_id)


async def failure(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code(), failed.value.details() or ""


async def test_the_life_of_a_container(pod: Pod, house: House) -> None:
    container_id = await pod.create(labels={"app": "web"})
    created = await pod.status(container_id)
    assert created.state == pb.ContainerState.CONTAINER_CREATED and created.image_ref == IMAGE.id
    await pod.start(container_id)
    assert (await pod.status(container_id)).state == pb.ContainerState.CONTAINER_RUNNING
    await pod.stub.StopContainer(pb.StopContainerRequest(container_id=container_id, timeout=0))
    ended = await pod.status(container_id)
    assert (ended.state, ended.exit_code, ended.reason) == (pb.ContainerState.CONTAINER_EXITED, 137, "Error")
    assert ended.metadata.name == "main" and dict(ended.labels) == {"app": "web"}
    await pod.stub.RemoveContainer(pb.RemoveContainerRequest(container_id=container_id))
    assert await pod.listed() == [] and not house.world.of("bundle") and not house.world.of("lease")


async def test_unknown_containers(pod: Pod) -> None:
    await pod.stub.StopContainer(pb.StopContainerRequest(container_id="nobody"))
    await pod.stub.RemoveContainer(pb.RemoveContainerRequest(container_id="nobody"))
    for call in (
        pod.stub.ContainerStatus(pb.ContainerStatusRequest(container_id="nobody")),
        pod.stub.StartContainer(pb.StartContainerRequest(container_id="nobody")),
        pod.stub.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id="nobody")),
        pod.stub.ExecSync(pb.ExecSyncRequest(container_id="nobody", cmd=["true"])),
    ):
        code, words = await failure(call)
        assert code is grpc.StatusCode.NOT_FOUND and "'nobody'" in words


async def test_lists_by_filter(pod: Pod) -> None:
    first, second = await pod.create("a", labels={"tier": "x"}), await pod.create("b")
    await pod.start(second)
    assert await pod.listed() == sorted([first, second])
    assert await pod.listed(label_selector={"tier": "x"}) == [first]
    assert await pod.listed(pod_sandbox_id=pod.id[:12], id=second) == [second]
    running = pb.ContainerStateValue(state=pb.ContainerState.CONTAINER_RUNNING)
    assert await pod.listed(state=running) == [second]
    assert await pod.listed(pod_sandbox_id="elsewhere") == []


async def test_a_verbose_status_shows_the_document(pod: Pod) -> None:
    container_id = await pod.create()
    request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
    info = json.loads((await pod.stub.ContainerStatus(request)).info["info"])
    assert info["runtimeSpec"]["process"]["args"] == ["sleep", "1000"]
    assert (info["pid"], info["sandboxID"]) == (4242, pod.id)


async def test_a_verbose_status_of_a_container_whose_document_is_gone(
    pod: Pod, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a reboot, which takes bundles, and while a container is being removed."""
    bundles, container_id = house.powers.bundles, await pod.create()
    request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
    await bundles.remove(container_id)
    info = json.loads((await pod.stub.ContainerStatus(request)).info["info"])
    assert (info["runtimeSpec"], info["sandboxID"]) == (None, pod.id)

    async def removed_meanwhile(key: str) -> None:
        await house.lives.remove(key)

    monkeypatch.setattr(bundles, "find", removed_meanwhile)
    code, _ = await failure(pod.stub.ContainerStatus(request))
    assert code is grpc.StatusCode.NOT_FOUND


async def test_a_negative_grace_is_refused(pod: Pod, house: House) -> None:
    container_id = await pod.create()
    await pod.start(container_id)
    code, words = await failure(pod.stub.StopContainer(pb.StopContainerRequest(container_id=container_id, timeout=-1)))
    assert (code, words[:22]) == (grpc.StatusCode.INVALID_ARGUMENT, "timeout: -1 is negativ")
    assert (await pod.status(container_id)).state == pb.ContainerState.CONTAINER_RUNNING


async def test_the_log_is_reopened_while_the_container_runs(pod: Pod, house: House) -> None:
    container_id = await pod.create()
    request = pb.ReopenContainerLogRequest(container_id=container_id)
    assert (await failure(pod.stub.ReopenContainerLog(request)))[0] is grpc.StatusCode.FAILED_PRECONDITION
    await pod.start(container_id)
    await pod.stub.ReopenContainerLog(request)
    assert ("Monitors.reopen_log", container_id) in house.world.calls


async def test_exec_sync(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    async def exec_sync(*_: Any, timeout: float, **__: Any) -> ExecResult:
        return ExecResult(7, b"out \xff", f"{timeout}".encode())

    monkeypatch.setattr(FakeMonitors, "exec_sync", exec_sync)
    container_id = await pod.create()
    await pod.start(container_id)
    answer = await pod.stub.ExecSync(pb.ExecSyncRequest(container_id=container_id, cmd=["false"], timeout=3))
    assert (answer.exit_code, answer.stdout, answer.stderr) == (7, b"out \xff", b"3.0")


async def test_a_name_is_taken_once_its_id_was_read(pod: Pod, house: House) -> None:
    container_id = await pod.create()
    async with asyncio.timeout(30):  # the server notes it just after the caller has the answer
        while not house.deliveries.noted(house.containers.get(container_id)):
            await asyncio.sleep(0.001)
    code, words = await failure(pod.create())
    assert code is grpc.StatusCode.ALREADY_EXISTS and container_id in words


async def test_the_retry_of_a_caller_that_gave_up_gets_the_container(pod: Pod, house: House, give_up: Any) -> None:
    house.world.slow["Monitors.create"] = asyncio.Event()
    await give_up(pod.stub.CreateContainer(pod.request()), "Monitors.create")
    house.world.slow["Monitors.create"].set()
    await house.tasks.drain(30)
    (row,) = house.containers
    assert await pod.create() == row.id
