"""What a kubelet asks of a pod and its containers, looked at from inside them and from the host."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.model import cgroup_names
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.machine import cgroup_tops, cgroup_v2, systemd_driver
from tests.support.server import Client, Server

POD, CONTAINER, NODE = pb.NamespaceMode.POD, pb.NamespaceMode.CONTAINER, pb.NamespaceMode.NODE
MIB = 1 << 20
numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def _pulled(server: Server) -> None:
    with server.client() as client:
        cri.pull(client)


@dataclass
class Pod:
    """A pod that a test makes containers in."""

    client: Client
    config: pb.PodSandboxConfig
    id: str

    def start(self, wish: pb.ContainerConfig) -> str:
        """A started container."""
        container_id = cri.create(self.client, self.id, wish, self.config)
        cri.start(self.client, container_id)
        return container_id

    def sleeping(self, **more: Any) -> str:
        """A container that runs until it is killed; `more` are fields of ContainerConfig."""
        wish = container_config(f"c{next(numbers)}", "sleep", "1000")
        wish.MergeFrom(pb.ContainerConfig(**more))
        return self.start(wish)

    def output(self, *command: str, **more: Any) -> str:
        """What a container with `command` writes until it ends, without end of line."""
        wish = container_config(f"c{next(numbers)}", *command)
        wish.MergeFrom(pb.ContainerConfig(**more))
        container_id = self.start(wish)
        until(lambda: cri.status(self.client, container_id).state == pb.ContainerState.CONTAINER_EXITED)
        log = Path(cri.status(self.client, container_id).log_path).read_text()
        return "\n".join(line.split(" ", 3)[3] for line in log.splitlines())

    def exec(self, container_id: str, *command: str) -> str:
        """Standard output of a command that must succeed."""
        answer = self.client("ExecSync", pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=20))
        assert answer.exit_code == 0, answer.stderr.decode()
        return str(answer.stdout.decode().rstrip("\n"))

    def info(self, container_id: str) -> Any:
        """What a verbose status adds."""
        request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
        return json.loads(self.client("ContainerStatus", request).info["info"])


@pytest.fixture
def run(client: Client, logs: Path) -> Iterator[Callable[..., Pod]]:
    """Makes pods; `more` are fields of PodSandboxConfig. They are removed in the end."""
    made: list[str] = []

    def make(config: pb.PodSandboxConfig | None = None, **more: Any) -> Pod:
        config = config or pod_config(f"pod{next(numbers)}", logs)
        config.MergeFrom(pb.PodSandboxConfig(**more))
        made.append(cri.run(client, config))
        return Pod(client, config, made[-1])

    yield make
    for pod_id in made:
        cri.remove_pod(client, pod_id)


@pytest.fixture
def pod(run: Callable[..., Pod]) -> Pod:
    """A pod with nothing special."""
    return run()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens by itself within seconds."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def namespaces(pid: int | str) -> dict[str, str]:
    """Namespace kind → identity of a process on the host."""
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("net", "ipc", "uts", "pid", "mnt", "cgroup")}


# The process


def test_command_and_args_follow_each_other(pod: Pod) -> None:
    assert pod.output("echo", args=["one", "two words"]) == "one two words"


def test_env_of_the_request_goes_over_that_of_the_image(pod: Pod) -> None:
    assert pod.output("sh", "-c", "echo $FROM $PATH") == "image /bin"
    envs = [pb.KeyValue(key="FROM", value=b"request"), pb.KeyValue(key="MORE", value="ä b=c".encode())]
    assert pod.output("sh", "-c", 'echo "$FROM $MORE $PATH"', envs=envs) == "request ä b=c /bin"


def test_working_dir(pod: Pod) -> None:
    assert pod.output("pwd", working_dir="/tmp") == "/tmp"
    assert pod.output("pwd", working_dir="/not/there/yet") == "/not/there/yet"


def security(**more: Any) -> pb.LinuxContainerConfig:
    return pb.LinuxContainerConfig(security_context=pb.LinuxContainerSecurityContext(**more))


def test_user_and_groups(pod: Pod) -> None:
    linux = security(
        run_as_user=pb.Int64Value(value=1234), run_as_group=pb.Int64Value(value=99), supplemental_groups=[7, 8]
    )
    container_id = pod.sleeping(linux=linux)
    assert pod.exec(container_id, "id", "-u") == "1234"
    assert set(pod.exec(container_id, "id", "-G").split()) == {"99", "7", "8"}
    user = cri.status(pod.client, container_id).user.linux
    assert (user.uid, user.gid, set(user.supplemental_groups)) == (1234, 99, {7, 8, 99})


def test_user_by_name(pod: Pod) -> None:
    assert pod.output("sh", "-c", "id -un; id -gn; pwd", linux=security(run_as_username="www-data")) == (
        "www-data\nwww-data\n/"
    )


def test_read_only_root(pod: Pod) -> None:
    words = pod.output("sh", "-c", "touch /file 2>&1", linux=security(readonly_rootfs=True))
    assert "Read-only file system" in words


def test_the_root_is_the_containers_own(pod: Pod) -> None:
    first, second = pod.sleeping(), pod.sleeping()
    pod.exec(first, "sh", "-c", "echo mine > /etc/passwd; rm /bin/ls")
    assert pod.exec(first, "cat", "/etc/passwd") == "mine"
    assert pod.exec(second, "grep", "-c", "^root:", "/etc/passwd") == "1"
    assert pod.exec(second, "ls", "/bin/ls") == "/bin/ls"


# Mounts


def test_bind_mount_read_write_and_read_only(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from the host")
    mounts = [
        pb.Mount(host_path=str(tmp_path), container_path="/rw"),
        pb.Mount(host_path=str(tmp_path), container_path="/ro", readonly=True),
        pb.Mount(host_path=str(tmp_path / "given"), container_path="/etc/given", readonly=True),
    ]
    container_id = pod.sleeping(mounts=mounts)
    assert pod.exec(container_id, "cat", "/rw/given", "/ro/given", "/etc/given") == "from the host" * 3
    pod.exec(container_id, "sh", "-c", "echo back > /rw/made")
    assert (tmp_path / "made").read_text() == "back\n"
    words = pod.exec(container_id, "sh", "-c", "touch /ro/x 2>&1; echo x 2>&1 > /etc/given; true")
    assert "Read-only file system" in words
    assert not (tmp_path / "x").exists()
    shown = {mount.container_path: mount for mount in cri.status(pod.client, container_id).mounts}
    assert shown["/rw"].host_path == str(tmp_path)
    assert (shown["/rw"].readonly, shown["/ro"].readonly) == (False, True)


def test_dev_shm_is_the_pods(pod: Pod) -> None:
    first, second = pod.sleeping(), pod.sleeping()
    pod.exec(first, "sh", "-c", "echo shared > /dev/shm/file")
    assert pod.exec(second, "cat", "/dev/shm/file") == "shared"


# Names


def test_hostname(run: Callable[..., Pod]) -> None:
    pod = run(hostname="given-name")
    container_id = pod.sleeping()
    assert pod.exec(container_id, "hostname") == "given-name"
    assert pod.exec(container_id, "cat", "/etc/hostname") == "given-name"
    assert pod.exec(container_id, "sh", "-c", "echo $HOSTNAME") == "given-name"
    assert platform.node() != "given-name"


def test_dns(run: Callable[..., Pod]) -> None:
    dns = pb.DNSConfig(servers=["10.96.0.10"], searches=["svc.cluster.local", "cluster.local"], options=["ndots:5"])
    lines = run(dns_config=dns).output("cat", "/etc/resolv.conf").splitlines()
    assert sorted(lines) == ["nameserver 10.96.0.10", "options ndots:5", "search svc.cluster.local cluster.local"]


def test_resolv_conf_of_the_host_without_any_dns_config(pod: Pod) -> None:
    assert pod.output("cat", "/etc/resolv.conf") == Path("/etc/resolv.conf").read_text().rstrip("\n")


# Network


def test_pod_network_is_shared_by_its_containers_and_apart_from_the_host(pod: Pod) -> None:
    first, second = pod.sleeping(), pod.sleeping()
    pids = [pod.info(container_id)["pid"] for container_id in (first, second)]
    assert namespaces(pids[0])["net"] == namespaces(pids[1])["net"] != namespaces("self")["net"]
    status = pod.client("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).status
    assert f"inet {status.network.ip}/" in pod.exec(first, "ip", "addr", "show", "eth0")
    assert "inet 127.0.0.1/" in pod.exec(first, "ip", "addr", "show", "lo")


WEB = ("sh", "-c", "mkdir -p /www && echo page > /www/index.html && exec httpd -f -p 80 -h /www")


def fetched(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
        return bool(answer.read() == b"page\n")
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


def test_host_port(run: Callable[..., Pod], server: Server) -> None:
    port = free_port()
    pod = run(port_mappings=[pb.PortMapping(protocol=pb.Protocol.TCP, container_port=80, host_port=port)])
    pod.start(container_config("web", *WEB))
    status = pod.client("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).status
    until(lambda: fetched(f"http://{status.network.ip}/"))
    assert fetched(f"http://{server.subnet}1:{port}/"), "by an address of the node"
    assert fetched(f"http://127.0.0.1:{port}/")
    assert any(f"--dport {port} " in rule for rule in server.rules())
    cri.remove_pod(pod.client, pod.id)
    assert not any(f"--dport {port} " in rule for rule in server.rules())
    assert not fetched(f"http://{server.subnet}1:{port}/")


def host_network(name: str, logs: Path) -> pb.PodSandboxConfig:
    config = pod_config(name, logs)
    config.linux.security_context.namespace_options.network = NODE
    return config


def test_host_network(run: Callable[..., Pod], logs: Path) -> None:
    pod = run(host_network("node-net", logs))
    wish = container_config("main", "sleep", "1000")
    wish.linux.security_context.namespace_options.network = NODE
    pid = pod.info(pod.start(wish))["pid"]
    assert namespaces(pid)["net"] == namespaces("self")["net"]
    assert namespaces(pid)["ipc"] != namespaces("self")["ipc"]
    status = pod.client("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).status
    assert status.network.ip == "", "the kubelet puts the node's own in"


# Namespaces


def test_private_pid_namespace(pod: Pod) -> None:
    first, second = pod.sleeping(), pod.sleeping()
    assert pod.exec(first, "cat", "/proc/1/comm") == "sleep"
    pids = [namespaces(pod.info(container_id)["pid"])["pid"] for container_id in (first, second)]
    assert len({*pids, namespaces("self")["pid"]}) == 3


def test_shared_pid_namespace(run: Callable[..., Pod], logs: Path) -> None:
    config = pod_config("shared-pid", logs)
    config.linux.security_context.namespace_options.pid = POD
    pod = run(config)
    shared = security(namespace_options=pb.NamespaceOption(pid=POD))
    # MergeFrom does not set an enum to its zero: the wish is made by hand.
    wishes = [container_config(name, "sleep", seconds) for name, seconds in (("a", "1001"), ("b", "1002"))]
    for wish in wishes:
        wish.linux.CopyFrom(shared)
    first, second = (pod.start(wish) for wish in wishes)
    listing = pod.exec(first, "ps", "-o", "pid,args")
    assert "sleep 1001" in listing and "sleep 1002" in listing
    assert not any(line.split()[0] == "1" and "sleep" in line for line in listing.splitlines())
    assert namespaces(pod.info(first)["pid"])["pid"] == namespaces(pod.info(second)["pid"])["pid"]
    assert namespaces(pod.info(first)["pid"])["pid"] != namespaces("self")["pid"]


def test_host_pid_namespace(run: Callable[..., Pod], logs: Path) -> None:
    config = pod_config("node-pid", logs)
    config.linux.security_context.namespace_options.pid = NODE
    pod = run(config)
    pid = pod.info(pod.sleeping(linux=security(namespace_options=pb.NamespaceOption(pid=NODE))))["pid"]
    assert namespaces(pid)["pid"] == namespaces("self")["pid"]


def test_a_container_that_says_nothing_of_namespaces_has_those_of_its_pod(run: Callable[..., Pod], logs: Path) -> None:
    config = host_network("inherits", logs)
    config.linux.security_context.namespace_options.pid = NODE
    pod = run(config)
    wish = container_config("main", "sleep", "1000")
    wish.ClearField("linux")
    pid = pod.info(pod.start(wish))["pid"]
    here, there = namespaces("self"), namespaces(pid)
    assert (there["net"], there["pid"]) == (here["net"], here["pid"])


# Cgroups


def cgroup_files(pid: int) -> dict[str, Path]:
    """Controller → directory of a process, cgroup v1 by controller and v2 under ""."""
    roots: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
        if kind == "cgroup":
            roots |= dict.fromkeys(options, fields[4])
        elif kind == "cgroup2":
            roots[""] = fields[4]
    found: dict[str, Path] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found |= {name: Path(roots[name] + path) for name in controllers.split(",") if name in roots}
    return found


def test_cpu_and_memory_limits(pod: Pod) -> None:
    resources = pb.LinuxContainerResources(
        cpu_shares=512, cpu_quota=50000, cpu_period=100000, memory_limit_in_bytes=64 * MIB
    )
    container_id = pod.sleeping(linux=pb.LinuxContainerConfig(resources=resources))
    groups = cgroup_files(pod.info(container_id)["pid"])
    if "memory" in groups:
        read = {
            "memory": (groups["memory"] / "memory.limit_in_bytes").read_text(),
            "quota": (groups["cpu"] / "cpu.cfs_quota_us").read_text(),
            "shares": (groups["cpu"] / "cpu.shares").read_text(),
        }
        assert {name: int(text) for name, text in read.items()} == {"memory": 64 * MIB, "quota": 50000, "shares": 512}
    else:
        assert int((groups[""] / "memory.max").read_text()) == 64 * MIB
        assert (groups[""] / "cpu.max").read_text().split() == ["50000", "100000"]
    shown = cri.status(pod.client, container_id).resources.linux
    assert (shown.cpu_shares, shown.cpu_quota, shown.memory_limit_in_bytes) == (512, 50000, 64 * MIB)


def test_out_of_memory(pod: Pod) -> None:
    resources = pb.LinuxContainerResources(memory_limit_in_bytes=16 * MIB, memory_swap_limit_in_bytes=16 * MIB)
    wish = container_config("hungry", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
    wish.linux.resources.CopyFrom(resources)
    container_id = pod.start(wish)
    until(lambda: cri.status(pod.client, container_id).state == pb.ContainerState.CONTAINER_EXITED)
    status = cri.status(pod.client, container_id)
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


@pytest.fixture
def kubelet_cgroup() -> Iterator[str]:
    """A cgroup made by another than the server, in every hierarchy, as a kubelet makes one per pod."""
    if systemd_driver():
        yield from kubelet_slice()
        return
    top = f"kubepods-test-{os.getpid()}"
    roots = [path.parent for path in cgroup_roots()]
    for root in roots:
        (root / top / "pod-1").mkdir(parents=True)
        seed_cpuset(root / top)
    yield f"/{top}/pod-1"
    for root in roots:
        assert (root / top / "pod-1").is_dir(), "the server must leave what it did not make"
        (root / top / "pod-1").rmdir()
        (root / top).rmdir()


def kubelet_slice() -> Iterator[str]:
    top = f"kubepodstest{os.getpid()}"
    unit = f"{top}-pod1.slice"
    subprocess.run(["systemctl", "start", unit], check=True)
    yield unit
    path = cgroup_names.directory(unit).lstrip("/")
    assert any((top / path).is_dir() for top in cgroup_tops()), "the server must leave what it did not make"
    subprocess.run(["systemctl", "stop", f"{top}.slice"], check=True)


def cgroup_roots() -> list[Path]:
    """The file cgroup.procs of every hierarchy."""
    lines = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    found = [Path(fields[4], "cgroup.procs") for fields in lines if fields[fields.index("-") + 1].startswith("cgroup")]
    return [path for path in found if path.exists()]


def seed_cpuset(directory: Path) -> None:
    """A cpuset of cgroup v1 takes no process before it has CPUs and memory nodes."""
    for child in (directory, directory / "pod-1"):
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (child / name).exists():
                (child / name).write_text((child.parent / name).read_text())


@pytest.mark.parametrize("pid", [CONTAINER, POD], ids=["private pid", "shared pid"])
def test_cgroup_parent_of_the_kubelet(
    run: Callable[..., Pod], logs: Path, kubelet_cgroup: str, pid: pb.NamespaceMode.ValueType
) -> None:
    config = pod_config("kubelets", logs)
    config.linux.cgroup_parent = kubelet_cgroup
    config.linux.security_context.namespace_options.pid = pid
    pod = run(config)
    container_id = pod.sleeping()
    info = pod.info(container_id)
    within = cgroup_names.directory(kubelet_cgroup) + "/"
    assert cgroup_names.directory(info["cgroupsPath"]).startswith(within)
    groups = Path(f"/proc/{info['pid']}/cgroup").read_text().splitlines()
    those = [line for line in groups if cgroup_v2() or line.split(":")[1] in ("memory", "cpu,cpuacct", "pids")]
    assert those and all(within in line for line in those)
    cri.remove_pod(pod.client, pod.id)


# The record


def test_verbose_status(pod: Pod) -> None:
    info = pod.info(container_id := pod.sleeping())
    assert info["runtimeSpec"]["process"]["args"] == ["sleep", "1000"]
    assert info["runtimeSpec"]["ociVersion"]
    assert Path(f"/proc/{info['pid']}/comm").read_text() == "sleep\n"
    assert cri.status(pod.client, container_id).state == pb.ContainerState.CONTAINER_RUNNING


def test_log_path_below_a_directory_of_its_own(pod: Pod, logs: Path) -> None:
    (logs / "main").mkdir()
    wish = container_config("main", "echo", "hello")
    wish.log_path = "main/0.log"
    container_id = pod.start(wish)
    until(lambda: cri.status(pod.client, container_id).state == pb.ContainerState.CONTAINER_EXITED)
    assert cri.status(pod.client, container_id).log_path == str(logs / "main/0.log")
    assert (logs / "main/0.log").read_text().endswith(" stdout F hello\n")


def test_times_are_in_order(pod: Pod) -> None:
    before = time.time_ns()
    container_id = pod.start(container_config("brief", "true"))
    until(lambda: cri.status(pod.client, container_id).state == pb.ContainerState.CONTAINER_EXITED)
    status = cri.status(pod.client, container_id)
    assert before < status.created_at < status.started_at <= status.finished_at < time.time_ns()


def test_log_of_a_large_output_is_whole(pod: Pod) -> None:
    text = pod.output("sh", "-c", "seq 1 20000")
    assert text == "\n".join(map(str, range(1, 20001)))


def test_stop_kills_everything_in_the_container(pod: Pod) -> None:
    wish = container_config("family", "sh", "-c", "(trap '' TERM; sleep 4321) & trap '' TERM; wait; sleep 4322")
    container_id = pod.start(wish)
    pid = pod.info(container_id)["pid"]
    until(lambda: "4321" in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout)
    pod.client("StopContainer", pb.StopContainerRequest(container_id=container_id, timeout=1))
    assert not Path(f"/proc/{pid}").exists()
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 4321" not in listing
    assert cri.status(pod.client, container_id).exit_code == 137
