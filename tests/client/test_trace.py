"""`criserver trace` against a running server: what a real pod's start has asked of the kernel, kept over a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.machine import systemd_driver
from tests.support.server import PROJECT, Server


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    with serving(base, {"image": pulling}) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


def trace(server: Server, *arguments: str) -> str:
    argv = [sys.executable, "-m", "criserver", "trace", *arguments, "--listen", server.socket]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=60, env={**os.environ, "COLUMNS": "100"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(server: Server, pod: str) -> dict[str, list[dict[str, Any]]]:
    """What each stage asked, by operation and stage."""
    (found,) = json.loads(trace(server, pod, "--json"))["pods"]
    return {
        f"{operation['operation']} {stage['name']}": stage["asked"]
        for operation in found["operations"]
        for stage in operation["stages"]
    }


@pytest.fixture
def pod(server: Server, logs: Path) -> Iterator[str]:
    """The id of a pod named traced, with one container and a shared PID namespace."""
    with server.client() as client:
        config = cri.pod_config("traced", logs)
        config.linux.security_context.namespace_options.pid = pb.NamespaceMode.POD
        config.linux.sysctls["net.ipv4.ip_unprivileged_port_start"] = "0"
        made = cri.run(client, config)
        wish = cri.container_config("main", "sleep", "1000")
        wish.linux.security_context.namespace_options.pid = pb.NamespaceMode.POD
        cri.start(client, cri.create(client, made, wish, config))
        yield made
        cri.remove_pod(client, made)


def test_each_stage_says_what_it_asked_of_the_kernel(server: Server, pod: str) -> None:
    asked = told(server, pod)
    calls = {stage: " \n".join(each["what"] for each in found) for stage, found in asked.items()}
    pinned = f"{server.state}/sandboxes/{pod}/ns"
    assert f"mount --bind /proc/thread-self/ns/net {pinned}/net" in calls["RunPodSandbox namespaces"]
    assert "ip_unprivileged_port_start = 0" in calls["RunPodSandbox namespaces"]
    assert f"{server.state}/sandboxes/{pod}/shm" in calls["RunPodSandbox files"]
    made = "systemd: StartTransientUnit" if systemd_driver() else "mkdir -p /sys/fs/cgroup/"
    assert made in calls["RunPodSandbox cgroup"]
    assert f"setns({pinned}/net)" in calls["RunPodSandbox pod init"]
    plugins = [each for each in asked["RunPodSandbox network"] if each["kind"] == "cni"]
    assert "CNI_COMMAND=ADD" in plugins[0]["what"] and f"CNI_NETNS={pinned}/net" in plugins[0]["what"]
    assert plugins[0]["what"].endswith("/bridge")
    assert json.loads(plugins[0]["text"])["type"] == "bridge"
    assert json.loads(plugins[0]["answer"])["ips"][0]["address"].startswith(server.subnet)
    assert "mount -t overlay -o lowerdir=" in calls["CreateContainer rootfs"]
    (spec,) = [each for each in asked["CreateContainer spec"] if each["what"].endswith("config.json")]
    assert json.loads(spec["text"])["process"]["args"] == ["sleep", "1000"]
    assert " create --bundle " in calls["CreateContainer runtime create"]
    assert asked["StartContainer runtime start"]


def test_it_is_drawn_and_written_as_a_page(server: Server, pod: str, tmp_path: Path) -> None:
    text = trace(server, "traced")
    assert [line.split()[0] for line in text.splitlines() if line[:1].isupper()] == [
        "RunPodSandbox", "CreateContainer", "StartContainer",
    ]  # fmt: skip
    assert "█" in text
    assert trace(server, pod[:12], "--html", str(tmp_path / "a.html")) == ""
    assert "How default/traced came to be" in (tmp_path / "a.html").read_text()


def test_it_survives_a_restart_and_the_pod(server: Server, logs: Path) -> None:
    with server.client() as client:
        made = cri.run(client, cri.pod_config("kept", logs))
    before = told(server, "kept")
    server.kill9()
    server.start()
    assert told(server, "kept") == before
    with server.client() as client:
        cri.remove_pod(client, made)
    assert told(server, made) == before


def test_a_pod_that_nobody_knows(server: Server) -> None:
    argv = [sys.executable, "-m", "criserver", "trace", "nobody", "--listen", server.socket]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=60)
    assert done.returncode == 1
    assert "nothing is known of a pod 'nobody'" in done.stderr
