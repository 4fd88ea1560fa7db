"""What `criserver status` tells, gathered from the CRI and the operator's service of a running server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from criserver.api.pb import api_pb2 as pb
from criserver.cli.client import errors
from criserver.config.schema import Config

if TYPE_CHECKING:
    from criserver.cli.client import Client

_POD = {pb.PodSandboxState.SANDBOX_READY: "ready", pb.PodSandboxState.SANDBOX_NOTREADY: "not ready"}
_CONTAINER = {
    pb.ContainerState.CONTAINER_CREATED: "created",
    pb.ContainerState.CONTAINER_RUNNING: "running",
    pb.ContainerState.CONTAINER_EXITED: "exited",
    pb.ContainerState.CONTAINER_UNKNOWN: "unknown",
}
Node = dict[str, Any]


def look(client: Client) -> Node:
    """Ask for everything; CriError as the server says. Times are in nanoseconds since the epoch."""
    runtime, images = client.runtime, client.images
    with errors():
        status = runtime.Status(pb.StatusRequest(verbose=True))
        driver = runtime.RuntimeConfig(pb.RuntimeConfigRequest()).linux.cgroup_driver
        pods = runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items
        containers = runtime.ListContainers(pb.ListContainersRequest()).containers
        stored = images.ListImages(pb.ListImagesRequest()).images
        usage = images.ImageFsInfo(pb.ImageFsInfoRequest()).image_filesystems
    config = json.loads(status.info["config"])
    return {
        "server": json.loads(status.info["server"]),
        "runtime": json.loads(status.info["runtime"]),
        "cgroupDriver": pb.CgroupDriver.Name(driver).lower(),
        "conditions": [condition(each) for each in status.status.conditions],
        "config": config,
        "changed": dict(changed(config, json.loads(msgspec.json.encode(Config())))),
        "images": {"count": len(stored), "bytes": sum(each.used_bytes.value for each in usage)},
        "pods": [pod(each, containers) for each in pods],
        "operations": client.ask("Running", {})["operations"],
        "now": time.time_ns(),
    }


def condition(found: pb.RuntimeCondition) -> Node:
    """One condition of the node."""
    return {"type": found.type, "status": found.status, "reason": found.reason, "message": found.message}


def pod(found: pb.PodSandbox, containers: Any) -> Node:
    """A pod with its containers, as listed."""
    return {
        "namespace": found.metadata.namespace,
        "name": found.metadata.name,
        "attempt": found.metadata.attempt,
        "id": found.id,
        "state": _POD[found.state],
        "createdAt": found.created_at,
        "handler": found.runtime_handler,
        "containers": [container(each) for each in containers if each.pod_sandbox_id == found.id],
    }


def container(found: pb.Container) -> Node:
    """A container as listed; `attempt` is how often the kubelet has made it anew."""
    return {
        "name": found.metadata.name,
        "attempt": found.metadata.attempt,
        "id": found.id,
        "state": _CONTAINER[found.state],
        "image": found.image.user_specified_image or found.image.image,
        "createdAt": found.created_at,
    }


def changed(config: Mapping[str, Any], default: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys whose values are not the default ones, dotted."""
    for key, value in config.items():
        usual = default.get(key)
        if isinstance(value, dict) and isinstance(usual, dict):
            yield from changed(value, usual, f"{prefix}{key}.")
        elif value != usual:
            yield f"{prefix}{key}", value
