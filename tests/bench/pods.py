"""What is measured: the life of a pod, call by call, as a kubelet asks for it."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from criserver.api.pb import api_pb2 as cri
from tests.bench.servers import IMAGE, Server

TIMEOUT = 120


class Samples:
    """Milliseconds by what took them."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """One sample of `name`: the block."""
        began = time.perf_counter()
        yield
        self.taken[name].append((time.perf_counter() - began) * 1000)

    def call(self, server: Server, method: str, request: Any) -> Any:
        """One call, timed under its name."""
        with self.timing(method):
            return getattr(server.stub, method)(request, timeout=TIMEOUT)


def start(
    server: Server, samples: Samples, command: Sequence[str] = (), *, cgroup_parent: str = ""
) -> tuple[str, str]:
    """A pod with one running container, of the image's command or this one; the two ids.

    `cgroup_parent` begins the name of the pod's cgroup, as a kubelet gives one; without it the server chooses.
    """
    uid = uuid.uuid4().hex
    logs = server.base / "logs" / uid
    logs.mkdir(parents=True)
    pod = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=uid[:8], namespace="bench", uid=uid), log_directory=str(logs)
    )
    pod.linux.security_context.namespace_options.pid = cri.NamespaceMode.CONTAINER
    pod.linux.cgroup_parent = f"{cgroup_parent}/pod{uid}" if cgroup_parent else ""
    container = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name="main"), image=cri.ImageSpec(image=IMAGE), log_path="main.log"
    )
    container.command.extend(command)
    container.linux.security_context.namespace_options.pid = cri.NamespaceMode.CONTAINER
    container.linux.resources.cpu_shares = 102
    container.linux.resources.memory_limit_in_bytes = 64 << 20
    with samples.timing("pod to running"):
        sandbox = samples.call(server, "RunPodSandbox", cri.RunPodSandboxRequest(config=pod)).pod_sandbox_id
        create = cri.CreateContainerRequest(pod_sandbox_id=sandbox, config=container, sandbox_config=pod)
        created = samples.call(server, "CreateContainer", create).container_id
        samples.call(server, "StartContainer", cri.StartContainerRequest(container_id=created))
    return sandbox, created


def stop(server: Server, samples: Samples, sandbox: str, container: str) -> None:
    """Stop and remove both."""
    with samples.timing("running to gone"):
        samples.call(server, "StopContainer", cri.StopContainerRequest(container_id=container))
        samples.call(server, "RemoveContainer", cri.RemoveContainerRequest(container_id=container))
        samples.call(server, "StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=sandbox))
        samples.call(server, "RemovePodSandbox", cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox))


def live(server: Server, samples: Samples) -> None:
    """The whole life of one pod, with an exec and a status in it."""
    sandbox, container = start(server, samples)
    try:
        command = cri.ExecSyncRequest(container_id=container, cmd=["true"], timeout=30)
        answer = samples.call(server, "ExecSync", command)
        if answer.exit_code:
            raise RuntimeError(f"{server.name}: exec of true ended with {answer.exit_code}: {answer.stderr}")
        samples.call(server, "ContainerStatus", cri.ContainerStatusRequest(container_id=container))
    finally:
        stop(server, samples, sandbox, container)


def churn(server: Server, samples: Samples, pods: int, at_once: int) -> float:
    """`pods` lives, `at_once` at a time; seconds."""
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as threads:
        for done in [threads.submit(live, server, samples) for _ in range(pods)]:
            done.result()
    return time.perf_counter() - began
