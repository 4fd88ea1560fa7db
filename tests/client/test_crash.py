"""kill -9 at every commit of every operation: after a restart nothing is left unclaimed, and it can be done."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support import images, registry
from tests.support.crictl import TOOLS
from tests.support.server import Client, Server

IMAGE = "docker.io/library/busybox:latest"
IDS = pb.IDMapping(host_id=100000, container_id=0, length=65536)
CRASHING = (str(Path(registry.__file__).with_name("crashing.py")),)
REQUEST_SECONDS = 20.0
SETTLE_SECONDS = 0.1  # the note that an id was read is a commit of its own, a moment after the answer


class Node:
    """A server that can be made to die, and the requests of one pod's life."""

    def __init__(self, base: Path, number: int, conf: Path, policy: Path, *, mapped: bool) -> None:
        """`mapped` pods have a user namespace and a PID namespace that their containers share."""
        config: dict[str, Any] = {"image": {"registries_conf": str(conf), "policy": str(policy)}}
        self.mapped = mapped
        if mapped:
            handlers = {"mapping": {"path": str(TOOLS / "runc")}}
            config["runtime"] = {"default_handler": "mapping", "handlers": handlers}
        self.server = Server(base, number, config, module=CRASHING)
        self.logs = base / "logs"
        self.logs.mkdir()
        self.bomb = base / "bomb"
        self.count = base / "bomb.count"
        self.env = {"CRASH_FILE": str(self.bomb)}

    def arm(self, at: int, when: str) -> None:
        """From now on the server dies at its commit number `at`; 0 only counts."""
        self.bomb.write_text(json.dumps({"at": at, "when": when}))
        self.count.unlink(missing_ok=True)
        assert self.server.process is not None
        self.server.process.send_signal(signal.SIGUSR2)
        self.server.wait_until(self.count.exists, 5, "the bomb to be armed")

    def pod(self) -> pb.PodSandboxConfig:
        config = pb.PodSandboxConfig(log_directory=str(self.logs))
        config.metadata.name, config.metadata.uid, config.metadata.namespace = "crash", "uid-crash", "default"
        if self.mapped:
            userns = pb.UserNamespace(mode=pb.NamespaceMode.POD, uids=[IDS], gids=[IDS])
            config.linux.security_context.namespace_options.userns_options.CopyFrom(userns)
            config.linux.sysctls["kernel.shm_rmid_forced"] = "1"
        return config

    def container(self) -> pb.ContainerConfig:
        config = pb.ContainerConfig(command=["sleep", "1000"], log_path="main.log")
        config.metadata.name = "main"
        config.image.image = IMAGE
        config.mounts.add(container_path="/volume").image.image = IMAGE
        if self.mapped:
            config.mounts.add(container_path="/logs", host_path=str(self.logs), uidMappings=[IDS], gidMappings=[IDS])
        return config

    def pull(self, client: Client) -> str:
        return str(client("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=IMAGE))).image_ref)

    def run(self, client: Client) -> str:
        return str(client("RunPodSandbox", pb.RunPodSandboxRequest(config=self.pod())).pod_sandbox_id)

    def create(self, client: Client, sandbox: str) -> str:
        request = pb.CreateContainerRequest(
            pod_sandbox_id=sandbox, config=self.container(), sandbox_config=self.pod()
        )
        return str(client("CreateContainer", request).container_id)

    def sandboxes(self, client: Client) -> list[Any]:
        return list(client("ListPodSandbox", pb.ListPodSandboxRequest()).items)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """registries.conf and policy.json of a registry that has busybox."""
    if missing := registry.missing():
        pytest.skip(missing)
    base = tmp_path_factory.mktemp("registry")
    with registry.Registry(base) as running:
        running.push("library/busybox", images.image(images.busybox_tree(), config={"Cmd": ["sh"]}), "latest")
        policy = base / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        yield running.registries_conf(base / "registries.conf"), policy


@pytest.fixture
def node(tmp_path: Path, mirror: tuple[Path, Path], mapped: bool) -> Iterator[Node]:
    if mapped and not (TOOLS / "runc").exists():
        pytest.skip("no current runc is built: hack/tools runc does it, with Go")
    made = Node(tmp_path, 40, *mirror, mapped=mapped)
    yield made
    made.server.destroy()


def _life(node: Node, client: Client, until: str) -> dict[str, str]:
    """Everything before operation `until`, so that it is the next thing to do; returns the ids."""
    ids: dict[str, str] = {}
    order = ["PullImage", "RunPodSandbox", "CreateContainer", "StartContainer", "RemoveContainer"]
    order += ["StopPodSandbox", "RemovePodSandbox"]
    for operation in order[: order.index(until)]:
        if operation == "RemoveContainer" and until != "RemoveContainer":
            continue  # stopping and removing a pod with a running container in it
        _do(node, client, operation, ids)
    return ids


def _do(node: Node, client: Client, operation: str, ids: dict[str, str]) -> None:
    if operation == "PullImage":
        ids["image"] = node.pull(client)
    elif operation == "RunPodSandbox":
        ids["sandbox"] = node.run(client)
    elif operation == "CreateContainer":
        ids["container"] = node.create(client, ids["sandbox"])
    elif operation == "StartContainer":
        client("StartContainer", pb.StartContainerRequest(container_id=ids["container"]))
    elif operation == "RemoveContainer":
        client("RemoveContainer", pb.RemoveContainerRequest(container_id=ids["container"]))
    elif operation == "StopPodSandbox":
        client("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=ids["sandbox"]))
    elif operation == "RemovePodSandbox":
        client("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=ids["sandbox"]))


MAPPED = ["RunPodSandbox", "CreateContainer", "RemoveContainer", "StopPodSandbox", "RemovePodSandbox"]
"""Operations that make or drop something else for a pod with a user namespace."""

OPERATIONS = [
    "PullImage",
    "RunPodSandbox",
    "CreateContainer",
    "StartContainer",
    "RemoveContainer",
    "StopPodSandbox",
    "RemovePodSandbox",
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("operation", "mapped"),
    [*((operation, False) for operation in OPERATIONS), *((operation, True) for operation in MAPPED)],
)
def test_killed_at_every_commit(node: Node, operation: str) -> None:
    server = node.server
    server.start(node.env)
    commits = _count(node, operation)
    assert commits, f"{operation} makes no commit: nothing was tested"
    for when in ("before", "after"):
        for at in range(1, commits + 1):
            where = f"{operation} killed {when} commit {at} of {commits}"
            with server.client() as client:
                ids = _life(node, client, operation)
                time.sleep(SETTLE_SECONDS)
                node.arm(at, when)
                answered = _do_and_die(node, client, operation, ids)
            assert server.process is not None
            server.process.wait(REQUEST_SECONDS)
            server.start(node.env)
            with server.client() as client:
                if not answered:
                    _do_again(node, client, operation, ids, where)
                _empty(server, client)
            _clean(server, where)


def _count(node: Node, operation: str) -> int:
    with node.server.client() as client:
        ids = _life(node, client, operation)
        time.sleep(SETTLE_SECONDS)
        node.arm(0, "after")
        _do(node, client, operation, ids)
        time.sleep(SETTLE_SECONDS)
        commits = node.count.stat().st_size
        _empty(node.server, client)
    return commits


def _empty(server: Server, client: Client) -> None:
    server.empty()
    client("RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=IMAGE)))


def _do_and_die(node: Node, client: Client, operation: str, ids: dict[str, str]) -> bool:
    """Whether the answer came before the end: the last commits of an operation may follow it."""
    try:
        _do(node, client, operation, ids)
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error
        return False
    return True


def _do_again(node: Node, client: Client, operation: str, ids: dict[str, str], where: str) -> None:
    """The same request succeeds now."""
    if operation == "StartContainer":
        state = client("ContainerStatus", pb.ContainerStatusRequest(container_id=ids["container"])).status.state
        if state == pb.ContainerState.CONTAINER_RUNNING:
            return
    _do(node, client, operation, ids)
    assert len(node.sandboxes(client)) <= 1, where


def _clean(server: Server, where: str) -> None:
    try:
        server.wait_until(lambda: not any(server.left().values()), 10, "nothing to be left")
    except AssertionError as error:
        raise AssertionError(f"{where}: {server.left()}\n{error}") from None
