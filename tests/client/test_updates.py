"""New limits for what runs: in the kernel at once, in the status, and there after a restart of the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.model import cgroup_names
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.critest import private
from tests.support.server import Client, Server

MIB = 1 << 20
V1 = Path("/sys/fs/cgroup/memory").is_dir()
FILES = {
    "memory": ("memory/{}/memory.limit_in_bytes" if V1 else "{}/memory.max"),
    "quota": ("cpu/{}/cpu.cfs_quota_us" if V1 else "{}/cpu.max"),
    "shares": ("cpu/{}/cpu.shares" if V1 else "{}/cpu.weight"),
}


@pytest.fixture(scope="module", params=["runc", "crun"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    """A server with one of Debian's runtimes; crun needs mounts of its own, which end with the server."""
    config = {"image": pulling, "runtime": {"default_handler": request.param}}
    wrapper = private() if request.param == "crun" else ()
    with serving(tmp_path_factory.mktemp("server"), config, wrapper=wrapper) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture
def pod(server: Server) -> Iterator[str]:
    with server.client() as client:
        pod_id = cri.run(client, pod_config("limited"))
    yield pod_id
    with server.client() as client:
        cri.remove_pod(client, pod_id)


def limited(client: Client, pod_id: str, *command: str, start: bool = True, **limits: Any) -> str:
    """A container with limits, started."""
    wish = container_config("main", *(command or ("sleep", "1000")))
    wish.linux.resources.MergeFrom(pb.LinuxContainerResources(**limits))
    container_id = cri.create(client, pod_id, wish, pb.PodSandboxConfig())
    if start:
        cri.start(client, container_id)
    return container_id


def update(client: Client, container_id: str, **limits: Any) -> None:
    request = pb.UpdateContainerResourcesRequest(container_id=container_id, linux=pb.LinuxContainerResources(**limits))
    client("UpdateContainerResources", request)


def refused(client: Client, container_id: str, **limits: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        update(client, container_id, **limits)
    return caught.value.code(), str(caught.value.details())


def cgroup(client: Client, container_id: str) -> str:
    answer = client("ContainerStatus", pb.ContainerStatusRequest(container_id=container_id, verbose=True))
    return str(json.loads(answer.info["info"])["cgroupsPath"])


def kernel(which: str, path: str) -> str:
    return Path("/sys/fs/cgroup", FILES[which].format(cgroup_names.directory(path).strip("/"))).read_text().strip()


@pytest.mark.parametrize("start", [True, False], ids=["running", "created"])
def test_a_container_takes_new_limits(client: Client, pod: str, *, start: bool) -> None:
    container_id = limited(
        client, pod, start=start, memory_limit_in_bytes=64 * MIB, cpu_shares=100, cpu_period=100000, cpu_quota=50000
    )
    update(client, container_id, memory_limit_in_bytes=128 * MIB, cpu_quota=20000)
    path = cgroup(client, container_id)
    assert kernel("memory", path) == str(128 * MIB)
    assert kernel("quota", path).split()[0] == "20000"
    limits = cri.status(client, container_id).resources.linux
    assert (limits.memory_limit_in_bytes, limits.cpu_quota, limits.cpu_period) == (128 * MIB, 20000, 100000)
    assert limits.cpu_shares == 100, "what is not asked for stays"


def test_limits_go_down_and_away(client: Client, pod: str) -> None:
    container_id = limited(client, pod, memory_limit_in_bytes=128 * MIB, cpu_period=100000, cpu_quota=50000)
    update(client, container_id, memory_limit_in_bytes=64 * MIB, cpu_quota=-1)
    path = cgroup(client, container_id)
    assert kernel("memory", path) == str(64 * MIB)
    assert kernel("quota", path).split()[0] in ("-1", "max")
    assert cri.status(client, container_id).resources.linux.cpu_quota == -1


@pytest.mark.parametrize("server", ["runc"], indirect=True)
def test_limits_survive_a_restart_of_the_server(server: Server, pod: str) -> None:
    with server.client() as client:
        container_id = limited(client, pod, memory_limit_in_bytes=64 * MIB)
        update(client, container_id, memory_limit_in_bytes=96 * MIB, cpu_shares=300)
    server.kill9()
    server.start()
    with server.client() as client:
        limits = cri.status(client, container_id).resources.linux
        assert (limits.memory_limit_in_bytes, limits.cpu_shares) == (96 * MIB, 300)
        assert kernel("memory", cgroup(client, container_id)) == str(96 * MIB)


def test_a_memory_limit_below_what_is_used_is_refused(client: Client, pod: str) -> None:
    hog = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo ready > /ready; sleep 1000; echo $x"
    container_id = limited(client, pod, "sh", "-c", hog, memory_limit_in_bytes=256 * MIB)
    ready = pb.ExecSyncRequest(
        container_id=container_id, cmd=["sh", "-c", "until [ -e /ready ]; do usleep 10000; done"], timeout=20
    )
    assert client("ExecSync", ready).exit_code == 0
    code, words = refused(client, container_id, memory_limit_in_bytes=16 * MIB)
    assert code is grpc.StatusCode.FAILED_PRECONDITION, words
    assert words.startswith("linux.memory_limit_in_bytes: 16777216 is below the ")
    assert cri.status(client, container_id).resources.linux.memory_limit_in_bytes == 256 * MIB
    assert cri.status(client, container_id).state == pb.ContainerState.CONTAINER_RUNNING


def test_refusals(client: Client, pod: str) -> None:
    assert refused(client, "0" * 64)[0] is grpc.StatusCode.NOT_FOUND
    container_id = limited(client, pod)
    code, words = refused(client, container_id, cpu_quota=5)
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "linux.cpu_quota" in words
    code, words = refused(client, container_id, cpuset_cpus="999")
    assert "999" in words or "cpuset" in words, "the runtime's or the kernel's own words"
    assert cri.status(client, container_id).resources.linux.cpuset_cpus == ""
    client("StopContainer", pb.StopContainerRequest(container_id=container_id))
    code, words = refused(client, container_id, cpu_shares=5)
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "EXITED" in words


def pod_info(client: Client, pod_id: str) -> Any:
    answer = client("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod_id, verbose=True))
    return json.loads(answer.info["info"])


@pytest.mark.parametrize("server", ["runc"], indirect=True)
def test_a_pod_takes_new_limits(server: Server, pod: str) -> None:
    with server.client() as client:
        request = pb.UpdatePodSandboxResourcesRequest(
            pod_sandbox_id=pod,
            overhead=pb.LinuxContainerResources(memory_limit_in_bytes=16 * MIB, cpu_quota=10000),
            resources=pb.LinuxContainerResources(
                memory_limit_in_bytes=256 * MIB, cpu_shares=512, cpu_period=100000, cpu_quota=40000
            ),
        )
        client("UpdatePodSandboxResources", request)
        path = pod_info(client, pod)["cgroupParent"]
    assert kernel("memory", path) == str(272 * MIB)
    assert kernel("quota", path).split()[0] == "50000"
    assert kernel("shares", path) == ("512" if V1 else "20")
    server.kill9()
    server.start()
    with server.client() as client:
        info = pod_info(client, pod)
        assert info["resources"] == {
            "memory_limit_in_bytes": 256 * MIB, "cpu_shares": 512, "cpu_period": 100000, "cpu_quota": 40000
        }  # fmt: skip
        assert info["overhead"] == {"memory_limit_in_bytes": 16 * MIB, "cpu_quota": 10000}


def test_a_pod_whose_limits_the_kernel_refuses_keeps_its_own(client: Client, pod: str) -> None:
    request = pb.UpdatePodSandboxResourcesRequest(
        pod_sandbox_id=pod, resources=pb.LinuxContainerResources(cpu_shares=300, cpuset_cpus="999")
    )
    path = pod_info(client, pod)["cgroupParent"]
    before = kernel("shares", path)
    with pytest.raises(grpc.RpcError, match="does not take its limits: .*'999'"):
        client("UpdatePodSandboxResources", request)
    assert kernel("shares", path) == before
    assert pod_info(client, pod)["resources"] is None


def test_oom_score_of_what_runs(server: Server, pod: str) -> None:
    with server.client() as client:
        container_id = limited(client, pod, "sh", "-c", "sleep 1000 & sleep 1000", oom_score_adj=900)
        update(client, container_id, oom_score_adj=950, cpu_shares=512)
        answer = client("ContainerStatus", pb.ContainerStatusRequest(container_id=container_id, verbose=True))
        pid = json.loads(answer.info["info"])["pid"]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert {Path(f"/proc/{each}/oom_score_adj").read_text() for each in (pid, *children)} == {"950\n"}
        assert answer.status.resources.linux.oom_score_adj == 950
