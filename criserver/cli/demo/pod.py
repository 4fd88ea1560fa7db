"""The demo pod as its client sees it: one container with a web server, asked for as a kubelet asks."""

from __future__ import annotations

import http.client
import json
import os
import time

from criserver.api.pb import api_pb2 as cri
from criserver.cli.client import Client
from criserver.errors import Unavailable

IMAGE = "localhost/criserver-demo:latest"
NAME, NAMESPACE, UID = "web", "demo", "criserver-demo"
# As a kubelet labels pods and containers; crictl reads the names of a container's pod there.
LABELS = {f"io.kubernetes.pod.{key}": value for key, value in (("name", NAME), ("namespace", NAMESPACE), ("uid", UID))}
# The page is written where the pod runs, so that it tells of the pod and not of the image.
SCRIPT = """\
mkdir -p /www
printf 'Hello from %s at %s, process %s of its own PID namespace, under Linux %s.\\n' \
    "$(hostname)" "$(ip -o -4 addr show eth0 | awk '{print $4}')" $$ "$(uname -r)" > /www/index.html
echo "serving /www on port 80"
exec httpd -f -v -p 80 -h /www
"""
COMMAND = ("sh", "-c", SCRIPT)
# Every container in a PID namespace of its own, as a kubelet asks unless told otherwise.
OWN_PID = cri.NamespaceOption(pid=cri.NamespaceMode.CONTAINER)
TIMEOUT = 60  # seconds that one call may take


class DemoPod:
    """The pod, from its sandbox to its removal. Each method is one step; grpc.RpcError when the server refuses."""

    def __init__(self, client: Client, directory: str) -> None:
        self._client = client
        self._sandbox = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=NAME, namespace=NAMESPACE, uid=UID),
            hostname=NAME,
            log_directory=os.path.join(directory, "logs"),
            labels=LABELS,
        )
        self._sandbox.linux.security_context.namespace_options.CopyFrom(OWN_PID)
        os.makedirs(self._sandbox.log_directory, exist_ok=True)
        self.sandbox_id = self.container_id = self.ip = ""

    def run(self) -> None:
        """RunPodSandbox, and its address."""
        request = cri.RunPodSandboxRequest(config=self._sandbox)
        self.sandbox_id = self._client.runtime.RunPodSandbox(request, timeout=TIMEOUT).pod_sandbox_id
        status = self._client.runtime.PodSandboxStatus(
            cri.PodSandboxStatusRequest(pod_sandbox_id=self.sandbox_id), timeout=TIMEOUT
        )
        self.ip = status.status.network.ip

    def create(self) -> None:
        """CreateContainer."""
        config = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name="httpd"),
            image=cri.ImageSpec(image=IMAGE, user_specified_image=IMAGE),
            log_path="httpd.log",
            labels=LABELS,
        )
        config.linux.security_context.namespace_options.CopyFrom(OWN_PID)
        request = cri.CreateContainerRequest(
            pod_sandbox_id=self.sandbox_id, config=config, sandbox_config=self._sandbox
        )
        self.container_id = self._client.runtime.CreateContainer(request, timeout=TIMEOUT).container_id

    def start(self) -> None:
        """StartContainer."""
        self._client.runtime.StartContainer(
            cri.StartContainerRequest(container_id=self.container_id), timeout=TIMEOUT
        )

    def page(self) -> str:
        """What the web server in the pod answers, asked over the pod network; Unavailable when it does not."""
        deadline = time.monotonic() + 5
        while True:
            try:
                return _get(self.ip)
            except OSError as error:  # httpd has not opened its port yet
                if time.monotonic() > deadline:
                    raise Unavailable(f"no page from http://{self.ip}/: {error}") from error
                time.sleep(0.01)

    def exec(self, *command: str) -> str:
        """ExecSync: output and errors of a command in the container."""
        request = cri.ExecSyncRequest(container_id=self.container_id, cmd=command, timeout=10)
        result = self._client.runtime.ExecSync(request, timeout=TIMEOUT)
        output: bytes = result.stdout + result.stderr
        return output.decode(errors="replace")

    def log(self) -> str:
        """The container's log file as it is: CRI log lines."""
        with open(os.path.join(self._sandbox.log_directory, "httpd.log"), errors="replace") as file:
            return file.read(64 << 10)

    def remove(self) -> None:
        """StopPodSandbox and RemovePodSandbox, which take the container along."""
        pod = self.sandbox_id
        self._client.runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=pod), timeout=TIMEOUT)
        self._client.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=pod), timeout=TIMEOUT)


def remove_image(client: Client) -> None:
    """RemoveImage of the demo's image."""
    client.images.RemoveImage(cri.RemoveImageRequest(image=cri.ImageSpec(image=IMAGE)), timeout=TIMEOUT)


def listing(client: Client) -> list[tuple[str, ...]]:
    """A row per container on the server, and per pod without one: pod, container, state, pid, address, image, age."""
    rows: list[tuple[str, ...]] = [("POD", "CONTAINER", "STATE", "PID", "ADDRESS", "IMAGE", "AGE")]
    pods = client.runtime.ListPodSandbox(cri.ListPodSandboxRequest(), timeout=TIMEOUT).items
    containers = client.runtime.ListContainers(cri.ListContainersRequest(), timeout=TIMEOUT).containers
    for pod in pods:
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=pod.id)
        address = client.runtime.PodSandboxStatus(request, timeout=TIMEOUT).status.network.ip
        name = f"{pod.metadata.namespace}/{pod.metadata.name}"
        own = [container for container in containers if container.pod_sandbox_id == pod.id]
        for container in own:
            state = cri.ContainerState.Name(container.state).removeprefix("CONTAINER_").capitalize()
            image = container.image.user_specified_image or container.image.image
            rows.append((name, container.metadata.name, state, _pid(client, container.id), address, image,
                         _age(container.created_at)))  # fmt: skip
        if not own:
            state = cri.PodSandboxState.Name(pod.state).removeprefix("SANDBOX_").capitalize()
            rows.append((name, "-", state, "-", address, "-", _age(pod.created_at)))
    return rows


def _pid(client: Client, container_id: str) -> str:
    request = cri.ContainerStatusRequest(container_id=container_id, verbose=True)
    info = client.runtime.ContainerStatus(request, timeout=TIMEOUT).info.get("info", "{}")
    return str(json.loads(info).get("pid") or "-")


def _age(created_at: int) -> str:
    seconds = max(0, time.time_ns() - created_at) // 1_000_000_000
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _get(address: str) -> str:
    connection = http.client.HTTPConnection(address, 80, timeout=2)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.read(64 << 10).decode(errors="replace").strip()
    finally:
        connection.close()
