"""Containers outlive the daemon, and so does the truth about them: kill -9 of daemon, monitor and zygote."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support.server import Client, Server
from tests.support.server import comm as server_comm

IMAGE = "docker.io/library/busybox:latest"
RUNNING, EXITED = pb.ContainerState.CONTAINER_RUNNING, pb.ContainerState.CONTAINER_EXITED
WRITER = "i=0; while :; do echo line $i; i=$((i+1)); usleep 10000; done"


@pytest.fixture
def server(tmp_path: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    with serving(tmp_path, {"image": pulling}) as running:
        with running.client() as client:
            client("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=IMAGE)))
        yield running


@pytest.fixture
def sandbox(server: Server) -> str:
    return run_pod(server)


def run_pod(server: Server) -> str:
    logs = server.base / "logs"
    logs.mkdir(exist_ok=True)
    config = pb.PodSandboxConfig(log_directory=str(logs))
    config.metadata.name, config.metadata.uid, config.metadata.namespace = "web", "uid", "default"
    config.linux.security_context.namespace_options.pid = pb.NamespaceMode.CONTAINER
    with server.client() as client:
        return str(client("RunPodSandbox", pb.RunPodSandboxRequest(config=config)).pod_sandbox_id)


def start(client: Client, sandbox: str, name: str, script: str) -> str:
    config = pb.ContainerConfig(command=["sh", "-c", script], log_path=f"{name}.log")
    config.metadata.name = name
    config.image.image = IMAGE
    config.linux.security_context.namespace_options.pid = pb.NamespaceMode.CONTAINER
    made = client("CreateContainer", pb.CreateContainerRequest(pod_sandbox_id=sandbox, config=config))
    client("StartContainer", pb.StartContainerRequest(container_id=made.container_id))
    return str(made.container_id)


def status(client: Client, container: str) -> Any:
    return client("ContainerStatus", pb.ContainerStatusRequest(container_id=container)).status


def numbers(server: Server, name: str) -> list[int]:
    text = (server.base / "logs" / f"{name}.log").read_text()
    return [int(number) for number in re.findall(r" stdout F line (\d+)$", text, re.MULTILINE)]


def children_called(server: Server, comm: str) -> list[int]:
    found = [pid for pid in server.processes() if server_comm(pid) == comm]
    assert found, f"no process {comm}"
    return found


def test_logs_and_exit_codes_while_the_daemon_is_dead(server: Server, sandbox: str) -> None:
    with server.client() as client:
        writer = start(client, sandbox, "writer", WRITER)
        job = start(client, sandbox, "job", "sleep 1; exit 7")
    server.kill9()
    dead_at = time.time_ns()
    time.sleep(2)
    server.start()
    back_at = time.time_ns()
    with server.client() as client:
        ended = status(client, job)
        assert (ended.state, ended.exit_code, ended.reason) == (EXITED, 7, "Error")
        assert dead_at < ended.finished_at < back_at - 500_000_000
        assert status(client, writer).state == RUNNING
        time.sleep(0.3)
        client("StopContainer", pb.StopContainerRequest(container_id=writer, timeout=0))
        assert status(client, writer).exit_code == 137
        for container in (writer, job):
            client("RemoveContainer", pb.RemoveContainerRequest(container_id=container))
    seen = numbers(server, "writer")
    assert seen == list(range(len(seen))) and len(seen) > 200


def test_a_lost_monitor_is_noticed_and_the_end_told_truly(server: Server, sandbox: str) -> None:
    with server.client() as client:
        job = start(client, sandbox, "job", "sleep 2; exit 9")
        (monitor,) = children_called(server, "conmon")
        os.kill(monitor, signal.SIGKILL)
        assert status(client, job).state == RUNNING
        server.wait_until(lambda: status(client, job).state == EXITED, 10, "the end of the container")
        # The zygote is the next subreaper above: it inherits the container's init and reaps it.
        assert status(client, job).exit_code == 9


def test_a_lost_monitor_with_the_daemon_dead(server: Server, sandbox: str) -> None:
    with server.client() as client:
        job = start(client, sandbox, "job", "sleep 1; exit 9")
        (monitor,) = children_called(server, "conmon")
    server.kill9()
    os.kill(monitor, signal.SIGKILL)
    time.sleep(1.5)
    server.start()
    with server.client() as client:
        ended = status(client, job)
        assert (ended.state, ended.exit_code) == (EXITED, 9)


def test_a_dead_zygote_is_replaced_and_its_monitors_live_on(server: Server, sandbox: str) -> None:
    with server.client() as client:
        old = start(client, sandbox, "old", WRITER)
        (zygote,) = children_called(server, "conmon-zygote")
        os.kill(zygote, signal.SIGKILL)
        new = start(client, sandbox, "new", WRITER)
        assert children_called(server, "conmon-zygote") != [zygote]
        for container in (old, new):
            assert status(client, container).state == RUNNING
            client("StopContainer", pb.StopContainerRequest(container_id=container, timeout=0))
            assert status(client, container).exit_code == 137


def test_log_rotation_loses_nothing(server: Server, sandbox: str) -> None:
    with server.client() as client:
        writer = start(client, sandbox, "writer", WRITER)
        path = server.base / "logs" / "writer.log"
        for number in range(5):
            time.sleep(0.1)
            path.rename(path.with_suffix(f".{number}"))
            client("ReopenContainerLog", pb.ReopenContainerLogRequest(container_id=writer))
        client("StopContainer", pb.StopContainerRequest(container_id=writer, timeout=0))
    text = "".join(path.with_suffix(f".{number}").read_text() for number in range(5)) + path.read_text()
    seen = [int(number) for number in re.findall(r" stdout F line (\d+)$", text, re.MULTILINE)]
    assert seen == list(range(len(seen))) and len(seen) > 30


def test_a_reboot_leaves_ended_containers_and_no_leases(server: Server, sandbox: str) -> None:
    """What a reboot takes is taken by hand: processes, mounts, namespaces and the whole state directory."""
    with server.client() as client:
        job = start(client, sandbox, "job", "sleep 1000")
    server.kill9()
    server.reboot()
    server.start()
    with server.client() as client:
        ended = status(client, job)
        assert (ended.state, ended.exit_code) == (EXITED, 255)

        def stopped() -> bool:
            (pod,) = client("ListPodSandbox", pb.ListPodSandboxRequest()).items
            return bool(pod.state == pb.PodSandboxState.SANDBOX_NOTREADY)

        server.wait_until(stopped, 10, "the pod to be stopped")
        assert server.left()["leases"] == []
