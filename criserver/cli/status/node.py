"""What `criserver status` tells, gathered from the CRI and the operator's service of a running server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import grpc
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
_ENDED = pb.ContainerState.CONTAINER_EXITED
_MOST_ENDS = 200  # containers that are asked how they ended, one by one
Node = dict[str, Any]


def look(client: Client) -> Node:
    """Ask for everything; CriError as the server says. Times are in nanoseconds since the epoch."""
    runtime, images = client.runtime, client.images
    with errors():
        status = runtime.Status(pb.StatusRequest(verbose=True))
        driver = runtime.RuntimeConfig(pb.RuntimeConfigRequest()).linux.cgroup_driver
        pods = runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items
        containers = runtime.ListContainers(pb.ListContainersRequest()).containers
        ends = _ends(runtime, containers)
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
        "pods": [pod(each, containers, ends) for each in pods],
        "operations": client.ask("Running", {})["operations"],
        "now": time.time_ns(),
    }


def condition(found: pb.RuntimeCondition) -> Node:
    """One condition of the node."""
    return {"type": found.type, "status": found.status, "reason": found.reason, "message": found.message}


def pod(found: pb.PodSandbox, containers: Any, ends: Mapping[str, pb.ContainerStatus] | None = None) -> Node:
    """A pod with its containers, as listed; `ends` are statuses of those that have ended, by id."""
    statuses = ends or {}
    return {
        "namespace": found.metadata.namespace,
        "name": found.metadata.name,
        "attempt": found.metadata.attempt,
        "id": found.id,
        "state": _POD[found.state],
        "createdAt": found.created_at,
        "handler": found.runtime_handler,
        "containers": [
            container(each, statuses.get(each.id)) for each in containers if each.pod_sandbox_id == found.id
        ],
    }


def container(found: pb.Container, end: pb.ContainerStatus | None = None) -> Node:
    """A container as listed; `attempt` is how often the kubelet has made it anew. How it ended is None if not asked."""
    return {
        "name": found.metadata.name,
        "attempt": found.metadata.attempt,
        "id": found.id,
        "state": _CONTAINER[found.state],
        "image": found.image.user_specified_image or found.image.image,
        "createdAt": found.created_at,
        "exitCode": end.exit_code if end else None,
        "reason": end.reason if end else "",
    }


def _ends(runtime: Any, containers: Any) -> dict[str, pb.ContainerStatus]:
    """How containers ended, by id: of each the newest attempt alone, and not of those that vanish meanwhile."""
    newest: dict[tuple[str, str], pb.Container] = {}
    for each in sorted(containers, key=lambda each: int(each.metadata.attempt)):
        newest[each.pod_sandbox_id, each.metadata.name] = each
    ended = sorted((each for each in newest.values() if each.state == _ENDED), key=lambda each: -each.created_at)
    found = {}
    for each in ended[:_MOST_ENDS]:
        try:
            found[each.id] = runtime.ContainerStatus(pb.ContainerStatusRequest(container_id=each.id)).status
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
    return found


def changed(config: Mapping[str, Any], default: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys whose values are not the default ones, dotted."""
    for key, value in config.items():
        usual = default.get(key)
        if isinstance(value, dict) and isinstance(usual, dict):
            yield from changed(value, usual, f"{prefix}{key}.")
        elif value != usual:
            yield f"{prefix}{key}", value
