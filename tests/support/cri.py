"""Requests of the CRI as a kubelet would send them, with little in them: tests add what they are about."""

from __future__ import annotations

from pathlib import Path

from criserver.api.pb import api_pb2 as pb
from tests.support.server import CALL_SECONDS, Client

BUSYBOX = "docker.io/library/busybox:latest"


def pod_config(name: str, logs: Path | None = None, *, attempt: int = 0) -> pb.PodSandboxConfig:
    """A pod in namespace "default"; `logs` is its log directory."""
    metadata = pb.PodSandboxMetadata(name=name, uid=f"uid-{name}", namespace="default", attempt=attempt)
    config = pb.PodSandboxConfig(metadata=metadata, log_directory=str(logs or ""))
    config.linux.security_context.namespace_options.pid = pb.NamespaceMode.CONTAINER
    return config


def container_config(name: str, *command: str, image: str = BUSYBOX, attempt: int = 0) -> pb.ContainerConfig:
    """A container with a PID namespace of its own; it logs to NAME.log in the pod's log directory."""
    config = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=name, attempt=attempt),
        image=pb.ImageSpec(image=image),
        command=command,
        log_path=f"{name}.log",
    )
    config.linux.security_context.namespace_options.pid = pb.NamespaceMode.CONTAINER
    return config


def run(client: Client, pod: pb.PodSandboxConfig, *, handler: str = "", timeout: float = CALL_SECONDS) -> str:
    """RunPodSandbox; the id."""
    request = pb.RunPodSandboxRequest(config=pod, runtime_handler=handler)
    return str(client("RunPodSandbox", request, timeout=timeout).pod_sandbox_id)


def create(
    client: Client,
    pod_id: str,
    container: pb.ContainerConfig,
    pod: pb.PodSandboxConfig,
    *,
    timeout: float = CALL_SECONDS,
) -> str:
    """CreateContainer; the id."""
    request = pb.CreateContainerRequest(pod_sandbox_id=pod_id, config=container, sandbox_config=pod)
    return str(client("CreateContainer", request, timeout=timeout).container_id)


def start(client: Client, container_id: str) -> None:
    """StartContainer."""
    client("StartContainer", pb.StartContainerRequest(container_id=container_id))


def status(client: Client, container_id: str) -> pb.ContainerStatus:
    """ContainerStatus."""
    answer: pb.ContainerStatusResponse = client(
        "ContainerStatus", pb.ContainerStatusRequest(container_id=container_id)
    )
    return answer.status


def remove_pod(client: Client, pod_id: str) -> None:
    """RemovePodSandbox, with everything in it."""
    client("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod_id))


def pods(client: Client) -> list[pb.PodSandbox]:
    """ListPodSandbox."""
    return list(client("ListPodSandbox", pb.ListPodSandboxRequest()).items)


def containers(client: Client) -> list[pb.Container]:
    """ListContainers."""
    return list(client("ListContainers", pb.ListContainersRequest()).containers)


def pull(client: Client, image: str = BUSYBOX) -> str:
    """PullImage; the id."""
    return str(client("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=image))).image_ref)
