"""A caller that gives up and asks again: one pod, one container, and never "name is reserved"."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri, wrapper
from tests.support.cri import container_config, pod_config
from tests.support.server import Client, Server
from tests.support.wrapper import Wrapper

PATIENCE = 0.05


@pytest.fixture(scope="module")
def plugin(base: Path) -> Wrapper:
    """The network's plugin."""
    return wrapper.plugin(base / "bin")


@pytest.fixture(scope="module")
def runtime(base: Path) -> Wrapper:
    """The runtime."""
    return wrapper.runtime(base / "bin", "create")


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str], plugin: Wrapper, runtime: Wrapper) -> Iterator[Server]:
    """A server whose plugin and runtime can be slow."""
    config = {
        "image": pulling,
        "network": {"bin_dirs": [str(plugin.path.parent), *wrapper.PLUGIN_DIRECTORIES]},
        "runtime": {"handlers": {"runc": {"path": str(runtime.path)}}},
    }
    with serving(base, config, plugin=plugin.path.name) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture(autouse=True)
def _fast_again(plugin: Wrapper, runtime: Wrapper) -> Iterator[None]:
    plugin.clear()
    runtime.clear()
    yield
    plugin.clear()
    runtime.clear()


def gives_up(call: Callable[[], object]) -> None:
    """The caller's deadline passes before the answer is there."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def until(true: Callable[[], object]) -> None:
    """Wait for something that happens by itself within seconds."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refused_as_taken(call: Callable[[], object], holder: str) -> None:
    """Who has read the id and asks for the name again makes a mistake, and is told by whom the name is held."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert holder in str(caught.value.details())


def test_run_pod_sandbox_is_joined_by_the_retry(client: Client, logs: Path, plugin: Wrapper) -> None:
    plugin.first("sleep 2")
    pod = pod_config("impatient", logs)
    for _ in range(3):
        gives_up(lambda: cri.run(client, pod, timeout=PATIENCE))
    assert cri.pods(client) == [], "a pod that is still being made is not shown"
    pod_id = cri.run(client, pod)
    assert [found.id for found in cri.pods(client)] == [pod_id]
    assert plugin.calls("ADD") == 1
    refused_as_taken(lambda: cri.run(client, pod), pod_id)
    cri.remove_pod(client, pod_id)


def test_a_pod_whose_id_nobody_has_read_is_the_retrys(client: Client, logs: Path, plugin: Wrapper) -> None:
    plugin.first("sleep 0.5")
    pod = pod_config("unread", logs)
    gives_up(lambda: cri.run(client, pod, timeout=PATIENCE))
    until(lambda: cri.pods(client))
    (made,) = cri.pods(client)
    assert cri.run(client, pod) == made.id
    assert plugin.calls("ADD") == 1
    refused_as_taken(lambda: cri.run(client, pod), made.id)
    cri.remove_pod(client, made.id)


def test_a_caller_that_hangs_up_is_as_one_that_is_late(
    server: Server, client: Client, logs: Path, plugin: Wrapper
) -> None:
    plugin.first("sleep 0.5")
    pod = pod_config("hung-up", logs)
    with grpc.insecure_channel(server.socket) as channel:
        call = channel.unary_unary(
            "/runtime.v1.RuntimeService/RunPodSandbox",
            request_serializer=pb.RunPodSandboxRequest.SerializeToString,
            response_deserializer=pb.RunPodSandboxResponse.FromString,
        ).future(pb.RunPodSandboxRequest(config=pod))
        until(lambda: plugin.calls("ADD"))
        call.cancel()
    pod_id = cri.run(client, pod)
    assert [found.id for found in cri.pods(client)] == [pod_id]
    assert plugin.calls("ADD") == 1
    cri.remove_pod(client, pod_id)


def test_the_retry_of_a_run_that_failed_meanwhile_starts_anew(client: Client, logs: Path, plugin: Wrapper) -> None:
    plugin.first("sleep 0.5; " + wrapper.cni_error(11, "busy", "try again"))
    pod = pod_config("failed", logs)
    gives_up(lambda: cri.run(client, pod, timeout=PATIENCE))
    with pytest.raises(grpc.RpcError, match="busy"):
        cri.run(client, pod)
    plugin.clear()
    cri.remove_pod(client, cri.run(client, pod))


def test_another_pod_of_the_name_is_not_joined(client: Client, logs: Path, plugin: Wrapper) -> None:
    plugin.first("sleep 0.5")
    pod, other = pod_config("same-name", logs), pod_config("same-name", logs, attempt=1)
    gives_up(lambda: cri.run(client, pod, timeout=PATIENCE))
    other_id = cri.run(client, other)
    pod_id = cri.run(client, pod)
    assert other_id != pod_id
    for each in (other_id, pod_id):
        cri.remove_pod(client, each)


def test_create_container_is_joined_by_the_retry(client: Client, logs: Path, runtime: Wrapper) -> None:
    pod = pod_config("with-container", logs)
    pod_id = cri.run(client, pod)
    runtime.first("sleep 2")
    wish = container_config("main", "sleep", "1000")
    for _ in range(3):
        gives_up(lambda: cri.create(client, pod_id, wish, pod, timeout=PATIENCE))
    assert cri.containers(client) == []
    container_id = cri.create(client, pod_id, wish, pod)
    assert [found.id for found in cri.containers(client)] == [container_id]
    assert runtime.calls("create") == 1
    refused_as_taken(lambda: cri.create(client, pod_id, wish, pod), container_id)
    cri.remove_pod(client, pod_id)


def test_a_container_whose_id_nobody_has_read_is_the_retrys(client: Client, logs: Path, runtime: Wrapper) -> None:
    pod = pod_config("with-unread", logs)
    pod_id = cri.run(client, pod)
    runtime.first("sleep 0.5")
    wish = container_config("main", "sleep", "1000")
    gives_up(lambda: cri.create(client, pod_id, wish, pod, timeout=PATIENCE))
    until(lambda: cri.containers(client))
    (made,) = cri.containers(client)
    assert cri.create(client, pod_id, wish, pod) == made.id
    assert runtime.calls("create") == 1
    cri.start(client, made.id)
    cri.remove_pod(client, pod_id)


def test_remove_while_a_container_is_being_made(client: Client, logs: Path, runtime: Wrapper) -> None:
    pod = pod_config("removed-early", logs)
    pod_id = cri.run(client, pod)
    runtime.first("sleep 1")
    gives_up(lambda: cri.create(client, pod_id, container_config("main", "sleep", "1000"), pod, timeout=PATIENCE))
    cri.remove_pod(client, pod_id)
    assert cri.pods(client) == []
    assert cri.containers(client) == []


def test_stop_pod_sandbox_is_joined_by_the_retry(client: Client, logs: Path) -> None:
    pod = pod_config("stopped-twice", logs)
    pod_id = cri.run(client, pod)
    wish = container_config("main", "sh", "-c", "trap '' TERM; sleep 1000")
    cri.start(client, cri.create(client, pod_id, wish, pod))
    request = pb.StopPodSandboxRequest(pod_sandbox_id=pod_id)
    gives_up(lambda: client("StopPodSandbox", request, timeout=0.005))
    client("StopPodSandbox", request)
    assert [found.state for found in cri.pods(client)] == [pb.PodSandboxState.SANDBOX_NOTREADY]
    cri.remove_pod(client, pod_id)


STUBBORN = ("sh", "-c", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done")


def stubborn(client: Client, logs: Path, name: str) -> tuple[str, str]:
    """A pod, and a container in it that does not end when it is asked to."""
    pod = pod_config(name, logs)
    pod_id = cri.run(client, pod)
    container_id = cri.create(client, pod_id, container_config("main", *STUBBORN), pod)
    cri.start(client, container_id)
    until(lambda: "ready" in (logs / "main.log").read_text())
    return pod_id, container_id


def asked(logs: Path) -> int:
    return (logs / "main.log").read_text().count("asked")


def test_the_grace_of_a_stop_runs_out_without_its_caller(client: Client, logs: Path) -> None:
    pod_id, container_id = stubborn(client, logs, "stop-goes-on")
    request = pb.StopContainerRequest(container_id=container_id, timeout=2)
    gives_up(lambda: client("StopContainer", request, timeout=0.3))
    until(lambda: asked(logs))
    assert cri.status(client, container_id).state == pb.ContainerState.CONTAINER_RUNNING
    until(lambda: cri.status(client, container_id).state == pb.ContainerState.CONTAINER_EXITED)
    assert cri.status(client, container_id).exit_code == 137 and asked(logs) == 1
    cri.remove_pod(client, pod_id)


def test_a_second_stop_shortens_the_grace_that_the_first_ones_caller_left(client: Client, logs: Path) -> None:
    pod_id, container_id = stubborn(client, logs, "stop-shortened")
    request = pb.StopContainerRequest(container_id=container_id, timeout=600)
    gives_up(lambda: client("StopContainer", request, timeout=0.3))
    until(lambda: asked(logs))
    begun = time.monotonic()
    client("StopContainer", pb.StopContainerRequest(container_id=container_id, timeout=1))
    assert 0.9 < time.monotonic() - begun < 10
    assert cri.status(client, container_id).exit_code == 137 and asked(logs) == 1
    cri.remove_pod(client, pod_id)


def test_a_stop_of_the_pod_goes_on_without_its_caller(server: Server, client: Client, logs: Path) -> None:
    pod_id, container_id = stubborn(client, logs, "pod-stop-goes-on")
    request = pb.StopContainerRequest(container_id=container_id, timeout=600)
    gives_up(lambda: client("StopContainer", request, timeout=0.3))
    with grpc.insecure_channel(server.socket) as channel:
        call = channel.unary_unary(
            "/runtime.v1.RuntimeService/StopPodSandbox",
            request_serializer=pb.StopPodSandboxRequest.SerializeToString,
            response_deserializer=pb.StopPodSandboxResponse.FromString,
        ).future(pb.StopPodSandboxRequest(pod_sandbox_id=pod_id))
        # It has begun: what is being stopped is shown as not ready.
        until(lambda: cri.pods(client)[0].state == pb.PodSandboxState.SANDBOX_NOTREADY)
        call.cancel()
    until(lambda: cri.status(client, container_id).exit_code == 137)
    cri.remove_pod(client, pod_id)
