"""What the cgroup driver promises: where things live, what a reload of systemd leaves alone, ends by the OOM killer.

Everything here holds with cgroupfs as well; on a machine that systemd runs, "auto" is its driver.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.critest import private
from tests.support.server import Client, Server

MIB = 1 << 20
V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
SYSTEMD = os.path.isdir("/run/systemd/system")
needs_v2 = pytest.mark.skipif(not V2, reason="this machine has cgroup v1: hack/vm has one with v2 alone")
needs_systemd = pytest.mark.skipif(not SYSTEMD, reason="systemd does not run here: hack/vm has a machine where it does")
EXITED = pb.ContainerState.CONTAINER_EXITED
HOG = "x=0123456789abcdef; while :; do x=$x$x; done"


@pytest.fixture(scope="module", params=["runc", "crun"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    """A server with one of Debian's runtimes."""
    config = {"image": pulling, "runtime": {"default_handler": request.param}}
    wrapper = private() if request.param == "crun" and not V2 else ()
    with serving(tmp_path_factory.mktemp("server"), config, wrapper=wrapper) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture(scope="module")
def driver(server: Server) -> str:
    """The cgroup driver that a kubelet is told."""
    with server.client() as client:
        answer = client("RuntimeConfig", pb.RuntimeConfigRequest())
    return pb.CgroupDriver.Name(answer.linux.cgroup_driver).lower()


TOP = f"criservertest{os.getpid()}"


@pytest.fixture
def parent(driver: str) -> str:
    """A pod cgroup such as a kubelet names."""
    return f"{TOP}-pod1.slice" if driver == "systemd" else f"/{TOP}/pod1"


@pytest.fixture
def pod(server: Server, parent: str) -> Iterator[str]:
    """A pod in that cgroup, which goes with it, as it was made for it."""
    config = pod_config("driven")
    config.linux.cgroup_parent = parent
    config.linux.security_context.namespace_options.pid = pb.NamespaceMode.POD
    with server.client() as client:
        pod_id = cri.run(client, config)
    yield pod_id
    with server.client() as client:
        cri.remove_pod(client, pod_id)
    for directory in Path("/sys/fs/cgroup").glob(f"{TOP}*" if V2 else f"*/{TOP}"):
        assert not any((directory / name).is_dir() for name in ("pod1", f"{TOP}-pod1.slice"))
    if parent.endswith(".slice"):
        subprocess.run(["systemctl", "stop", f"{TOP}.slice"], check=True)
    for directory in Path("/sys/fs/cgroup").glob(f"{TOP}*" if V2 else f"*/{TOP}"):
        directory.rmdir()


def start(client: Client, pod_id: str, *command: str, change: pb.LinuxContainerConfig | None = None) -> str:
    wish = container_config("main", *command)
    if change:
        wish.linux.MergeFrom(change)
    container_id = cri.create(client, pod_id, wish, pb.PodSandboxConfig())
    cri.start(client, container_id)
    return container_id


def pid(client: Client, container_id: str) -> int:
    request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
    return int(json.loads(client("ContainerStatus", request).info["info"])["pid"])


def cgroups(process: int) -> set[str]:
    """Paths of the process's cgroups."""
    lines = Path(f"/proc/{process}/cgroup").read_text().splitlines()
    return {line.split(":", 2)[2] for line in lines}


def run(client: Client, container_id: str, *command: str) -> tuple[int, str]:
    answer = client("ExecSync", pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=60))
    return answer.exit_code, (answer.stdout + answer.stderr).decode()


def test_where_things_live(server: Server, client: Client, driver: str, parent: str, pod: str) -> None:
    container_id = start(client, pod, "sleep", "1000")
    within = f"/{TOP}.slice/{parent}" if driver == "systemd" else parent
    name = f"criserver-{container_id}" + (".scope" if driver == "systemd" else "")
    assert f"{within}/{name}" in cgroups(pid(client, container_id))
    init = f"{within}/criserver-init-{pod}" + (".scope" if driver == "systemd" else "")
    assert any(init in cgroups(process) for process in server.processes())
    assert server.process is not None
    zygotes = [each for each in server.processes() if "zygote" in Path(f"/proc/{each}/comm").read_text()]
    assert zygotes
    for zygote in zygotes:
        where = cgroups(zygote)
        assert any("criserver-monitors-" in path for path in where)
        assert not any("criserver-monitors-" in path for path in cgroups(server.process.pid))
    code, said = run(client, container_id, "cat", "/proc/self/cgroup")
    assert code == 0 and said


@pytest.mark.parametrize("turn", range(3))
def test_oom_is_told_although_the_cgroup_goes(server: Server, client: Client, pod: str, turn: int) -> None:
    limits = pb.LinuxContainerConfig(resources=pb.LinuxContainerResources(memory_limit_in_bytes=32 * MIB))
    container_id = start(client, pod, "sh", "-c", HOG, change=limits)
    server.wait_until(lambda: cri.status(client, container_id).state == EXITED, 20, "the OOM killer")
    status = cri.status(client, container_id)
    assert (status.exit_code, status.reason) == (137, "OOMKilled"), turn


def test_a_plain_kill_is_no_oom(client: Client, pod: str) -> None:
    container_id = start(client, pod, "sleep", "1000")
    client("StopContainer", pb.StopContainerRequest(container_id=container_id, timeout=0))
    status = cri.status(client, container_id)
    assert (status.exit_code, status.reason) == (137, "Error")


@needs_systemd
@needs_v2
def test_a_reload_of_systemd_changes_nothing(client: Client, pod: str) -> None:
    device = pb.Device(container_path="/dev/other", host_path="/dev/fuse", permissions="rw")
    limits = pb.LinuxContainerResources(
        memory_limit_in_bytes=64 * MIB, cpu_shares=512, cpu_period=100000, cpu_quota=50000, cpuset_cpus="0"
    )
    wish = container_config("main", "sleep", "1000")
    wish.linux.resources.MergeFrom(limits)
    wish.linux.security_context.capabilities.add_capabilities.append("MKNOD")
    wish.devices.append(device)
    container_id = cri.create(client, pod, wish, pb.PodSandboxConfig())
    cri.start(client, container_id)
    (path,) = cgroups(pid(client, container_id))
    files = ("memory.max", "cpu.weight", "cpu.max", "cpuset.cpus", "pids.max", "memory.swap.max")

    def seen() -> list[str]:
        told = [Path(f"/sys/fs/cgroup{path}/{name}").read_text() for name in files]
        devices = "echo >/dev/null && : <>/dev/other && echo given; mknod /k c 1 11 && cat /k; rm -f /k"
        return [*told, run(client, container_id, "sh", "-c", devices)[1]]

    before = seen()
    assert before[0] == f"{64 * MIB}\n" and before[2] == "50000 100000\n"
    assert "given" in before[-1] and "not permitted" in before[-1]
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert seen() == before
    more = pb.LinuxContainerResources(memory_limit_in_bytes=96 * MIB, cpu_quota=20000)
    client("UpdateContainerResources", pb.UpdateContainerResourcesRequest(container_id=container_id, linux=more))
    after = seen()
    assert (after[0], after[2]) == (f"{96 * MIB}\n", "20000 100000\n")
    assert (after[5], after[-1]) == (before[5], before[-1])
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert seen() == after


@needs_systemd
def test_a_reload_leaves_a_pods_limits(server: Server, client: Client, driver: str, parent: str, pod: str) -> None:
    if driver != "systemd":
        pytest.skip("systemd knows nothing of the pods of cgroupfs")
    container_id = start(client, pod, "sleep", "1000")
    limits = pb.LinuxContainerResources(memory_limit_in_bytes=256 * MIB, cpu_period=100000, cpu_quota=70000)
    client("UpdatePodSandboxResources", pb.UpdatePodSandboxResourcesRequest(pod_sandbox_id=pod, resources=limits))
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    (path,) = cgroups(pid(client, container_id))
    above = Path(f"/sys/fs/cgroup{path}").parent
    assert above.name == parent
    assert (above / "memory.max").read_text() == f"{256 * MIB}\n"
    assert (above / "cpu.max").read_text() == "70000 100000\n"


@needs_v2
def test_all_of_a_container_is_killed_at_once(client: Client, pod: str) -> None:
    """Those that fork faster than anybody counts included: cgroup.kill."""
    container_id = start(client, pod, "sh", "-c", "while :; do (while :; do sleep 0.01; done) & sleep 0.2; done")
    (path,) = cgroups(pid(client, container_id))
    client("StopContainer", pb.StopContainerRequest(container_id=container_id, timeout=0))
    procs = Path(f"/sys/fs/cgroup{path}/cgroup.procs")
    assert not procs.exists() or procs.read_text() == ""
