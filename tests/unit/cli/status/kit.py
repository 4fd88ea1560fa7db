"""A node as the CRI tells of it, and a client that answers with it."""

from __future__ import annotations

import json
import time
from typing import Any, Self

from criserver.api.pb import api_pb2 as pb

READY, NOT_READY = pb.PodSandboxState.SANDBOX_READY, pb.PodSandboxState.SANDBOX_NOTREADY
RUNNING, EXITED = pb.ContainerState.CONTAINER_RUNNING, pb.ContainerState.CONTAINER_EXITED
SECOND = 1_000_000_000


def pod(name: str, state: int = READY, *, age: int = 0) -> pb.PodSandbox:
    metadata = pb.PodSandboxMetadata(name=name, namespace="shop", uid=name)
    created = time.time_ns() - age * SECOND
    return pb.PodSandbox(id=name.ljust(64, "0"), metadata=metadata, state=state, created_at=created)  # type: ignore[arg-type]


def container(name: str, pod_id: str, state: int = RUNNING, *, attempt: int = 0) -> pb.Container:
    return pb.Container(
        id=f"{name}{attempt}".ljust(64, "0"), pod_sandbox_id=pod_id, state=state,  # type: ignore[arg-type]
        metadata=pb.ContainerMetadata(name=name, attempt=attempt), image=pb.ImageSpec(image="busybox"),
    )  # fmt: skip


class Service:
    """The stubs of both CRI services."""

    def __init__(self) -> None:
        self.pods = [pod("web", age=10), pod("old", NOT_READY, age=9000)]
        web, old = (each.id for each in self.pods)
        self.containers = [
            container("nginx", web, EXITED), container("nginx", web, attempt=1), container("job", old, EXITED),
        ]  # fmt: skip
        self.ready = True
        self.ends: dict[str, pb.ContainerStatus] = {}
        self.asked: list[str] = []
        self.stats: list[pb.PodSandboxStats] = []

    def Status(self, _: Any) -> pb.StatusResponse:  # noqa: N802
        network = pb.RuntimeCondition(type="NetworkReady", status=self.ready)
        if not self.ready:
            network.reason, network.message = "NetworkPluginNotReady", "no [bold]configuration[/]"
        config = {
            "listen": "unix:///run/x.sock", "root": "/var/lib/x", "state": "/run/x", "metrics": {"port": 9090},
            "network": {"bin_dirs": ["/opt/cni/bin", "/usr/lib/cni"]},
        }  # fmt: skip
        server = {
            "version": "0.1.0", "pid": 7, "startedAt": time.time_ns() - 3700 * SECOND, "versions": {"runc": "1.1.5"},
        }  # fmt: skip
        info = {
            "config": json.dumps(config),
            "server": json.dumps(server),
            "runtime": json.dumps({"defaultHandler": "runc", "because": "crun is not installed"}),
        }
        conditions = [pb.RuntimeCondition(type="RuntimeReady", status=True), network]
        return pb.StatusResponse(status=pb.RuntimeStatus(conditions=conditions), info=info)

    def RuntimeConfig(self, _: Any) -> pb.RuntimeConfigResponse:  # noqa: N802
        return pb.RuntimeConfigResponse(linux=pb.LinuxRuntimeConfiguration(cgroup_driver=pb.CgroupDriver.CGROUPFS))

    def ListPodSandbox(self, _: Any) -> pb.ListPodSandboxResponse:  # noqa: N802
        return pb.ListPodSandboxResponse(items=self.pods)

    def ListContainers(self, _: Any) -> pb.ListContainersResponse:  # noqa: N802
        return pb.ListContainersResponse(containers=self.containers)

    def ContainerStatus(self, request: pb.ContainerStatusRequest) -> pb.ContainerStatusResponse:  # noqa: N802
        self.asked.append(request.container_id)
        return pb.ContainerStatusResponse(status=self.ends.get(request.container_id, pb.ContainerStatus()))

    def ListImages(self, _: Any) -> pb.ListImagesResponse:  # noqa: N802
        return pb.ListImagesResponse(images=[pb.Image(id="a"), pb.Image(id="b")])

    def ImageFsInfo(self, _: Any) -> pb.ImageFsInfoResponse:  # noqa: N802
        usage = pb.FilesystemUsage(used_bytes=pb.UInt64Value(value=3 << 20))
        return pb.ImageFsInfoResponse(image_filesystems=[usage])

    def ListPodSandboxStats(self, _: Any) -> pb.ListPodSandboxStatsResponse:  # noqa: N802
        return pb.ListPodSandboxStatsResponse(stats=self.stats)


class Answering:
    """Stands for `Client`."""

    def __init__(self, service: Service, running: list[dict[str, Any]] | None = None) -> None:
        self.runtime = self.images = service
        self._running = running or []

    def ask(self, method: str, _: dict[str, Any]) -> dict[str, Any]:
        assert method == "Running"
        return {"operations": self._running}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
