import json
import time
from types import SimpleNamespace
from typing import Any

from criserver.api.pb import api_pb2 as cri
from criserver.cli.demo import pod

POD = cri.PodSandbox(
    id="p1", metadata=cri.PodSandboxMetadata(name="web", namespace="demo"), state=cri.PodSandboxState.SANDBOX_READY
)
CONTAINER = cri.Container(
    id="c1",
    pod_sandbox_id="p1",
    metadata=cri.ContainerMetadata(name="httpd"),
    image=cri.ImageSpec(image="sha256:1", user_specified_image="x:1"),
    state=cri.ContainerState.CONTAINER_RUNNING,
)


def client(pods: list[cri.PodSandbox], containers: list[cri.Container]) -> Any:
    network = cri.PodSandboxStatusResponse(
        status=cri.PodSandboxStatus(network=cri.PodSandboxNetworkStatus(ip="10.0.0.2"))
    )
    runtime = SimpleNamespace(
        ListPodSandbox=lambda _, timeout: cri.ListPodSandboxResponse(items=pods),
        ListContainers=lambda _, timeout: cri.ListContainersResponse(containers=containers),
        PodSandboxStatus=lambda _, timeout: network,
        ContainerStatus=lambda _, timeout: cri.ContainerStatusResponse(info={"info": json.dumps({"pid": 42})}),
    )
    return SimpleNamespace(runtime=runtime)


def test_each_container_has_a_row() -> None:
    now = time.time_ns()
    POD.created_at, CONTAINER.created_at = now, now - 90_000_000_000
    rows = pod.listing(client([POD], [CONTAINER]))
    assert rows[0] == ("POD", "CONTAINER", "STATE", "PID", "ADDRESS", "IMAGE", "AGE")
    assert rows[1:] == [("demo/web", "httpd", "Running", "42", "10.0.0.2", "x:1", "1m")]


def test_a_pod_without_containers_has_one_too() -> None:
    POD.created_at = time.time_ns() - 3 * 86_400_000_000_000
    assert pod.listing(client([POD], []))[1:] == [("demo/web", "-", "Ready", "-", "10.0.0.2", "-", "3d")]
