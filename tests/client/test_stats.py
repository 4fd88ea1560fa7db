"""Stats of pods and containers against independent readings: /proc, du(1), and what the test itself sent and wrote."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.machine import cgroup_v2, slowness
from tests.support.server import Client, Server
from tests.support.streams import messages

MIB = 1 << 20
PERIOD = 0.2 * slowness()
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    """A server whose readings are soon too old."""
    with serving(base, {"image": pulling, "stats": {"collection_period": PERIOD}}) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


class Pod:
    """A pod whose containers run shell scripts."""

    def __init__(self, client: Client, logs: Path) -> None:
        self.client, self.config = client, cri.pod_config(f"stats-{time.monotonic_ns()}", logs)
        self.config.labels["app"] = self.config.metadata.name
        self.id = cri.run(client, self.config)

    def create(self, name: str, script: str, change: Callable[[pb.ContainerConfig], None] | None = None) -> str:
        config = cri.container_config(name, "sh", "-c", script)
        config.labels["which"] = name
        if change:
            change(config)
        return cri.create(self.client, self.id, config, self.config)

    def run(self, name: str, script: str, change: Callable[[pb.ContainerConfig], None] | None = None) -> str:
        container = self.create(name, script, change)
        cri.start(self.client, container)
        return container

    def stats(self, container: str) -> pb.ContainerStats:
        """Taken now: what is older than the period is gone."""
        time.sleep(PERIOD * 1.1)
        answer: pb.ContainerStatsResponse = self.client(
            "ContainerStats", pb.ContainerStatsRequest(container_id=container)
        )
        return answer.stats

    def pod_stats(self) -> pb.PodSandboxStats:
        time.sleep(PERIOD * 1.1)
        answer: pb.PodSandboxStatsResponse = self.client(
            "PodSandboxStats", pb.PodSandboxStatsRequest(pod_sandbox_id=self.id)
        )
        return answer.stats

    def listed(self, **wanted: Any) -> dict[str, pb.ContainerStats]:
        request = pb.ListContainerStatsRequest(filter=pb.ContainerStatsFilter(pod_sandbox_id=self.id, **wanted))
        return {each.attributes.metadata.name: each for each in self.client("ListContainerStats", request).stats}


@pytest.fixture
def pod(client: Client, logs: Path) -> Iterator[Pod]:
    made = Pod(client, logs)
    yield made
    cri.remove_pod(client, made.id)


def pids(client: Client, container: str) -> list[int]:
    """Processes of the container, found by the cgroup that its first one is in."""
    request = pb.ContainerStatusRequest(container_id=container, verbose=True)
    first = json.loads(client("ContainerStatus", request).info["info"])["pid"]
    mine = Path(f"/proc/{first}/cgroup").read_text()
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if Path(f"/proc/{entry}/cgroup").read_text() == mine:
                found.append(int(entry))
        except OSError:
            continue
    return found


def cgroup_files(container: str, name: str) -> list[Path]:
    """The files of that name in the container's cgroups; other cgroups may come and go meanwhile."""
    walk = os.walk("/sys/fs/cgroup")
    found = [Path(directory, name) for directory, _, _ in walk if directory.endswith((container, f"{container}.scope"))]
    return [path for path in found if path.exists()]


def cpu_seconds(every: list[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in every]
    return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS


def anonymous(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def test_cpu_is_what_the_process_table_says(client: Client, pod: Pod) -> None:
    def fifth(config: pb.ContainerConfig) -> None:
        config.linux.resources.cpu_quota, config.linux.resources.cpu_period = 20_000, 100_000

    container = pod.run("burn", "while :; do :; done", fifth)
    every = pids(client, container)
    before, taken = cpu_seconds(every), pod.stats(container).cpu
    time.sleep(3)
    after, again = cpu_seconds(every), pod.stats(container).cpu

    used = (again.usage_core_nano_seconds.value - taken.usage_core_nano_seconds.value) / 1e9
    elapsed = (again.timestamp - taken.timestamp) / 1e9
    # Stats are read up to a period after /proc, and the process table counts in ticks of 10 ms.
    assert used == pytest.approx(after - before, rel=0.1, abs=0.08)
    assert again.usage_nano_cores.value / 1e9 == pytest.approx(used / elapsed, rel=0.01)
    assert again.usage_nano_cores.value <= 0.25e9


def test_memory_is_what_the_process_table_says(client: Client, pod: Pod) -> None:
    def limited(config: pb.ContainerConfig) -> None:
        config.linux.resources.memory_limit_in_bytes = 128 * MIB

    container = pod.run("hold", "dd if=/dev/zero bs=40M count=1 2>/dev/null | sleep 1000", limited)
    every: list[int] = []

    def held() -> bool:
        every[:] = pids(client, container)
        return sum(map(anonymous, every)) > 40 * MIB

    deadline = time.monotonic() + 20 * slowness()
    while not held():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    memory = pod.stats(container).memory
    assert memory.rss_bytes.value == pytest.approx(sum(map(anonymous, every)), abs=2 * MIB)
    assert memory.rss_bytes.value <= memory.usage_bytes.value <= 128 * MIB
    assert memory.rss_bytes.value <= memory.working_set_bytes.value <= memory.usage_bytes.value
    assert memory.available_bytes.value == 128 * MIB - memory.working_set_bytes.value
    assert memory.page_faults.value > 100  # how many pages a fault brings is the kernel's affair (folios)


def test_the_working_set_leaves_out_what_the_kernel_calls_inactive(pod: Pod) -> None:
    container = pod.run("cache", "dd if=/dev/zero of=/f bs=1M count=32 2>/dev/null; echo done > /d; sleep 1000")
    time.sleep(1)
    memory = pod.stats(container).memory
    (found,) = cgroup_files(container, "memory.stat")
    stat = dict(line.split() for line in found.read_text().splitlines())
    inactive = int(stat.get("total_inactive_file", stat["inactive_file"]))
    assert memory.usage_bytes.value > 32 * MIB
    assert memory.usage_bytes.value - memory.working_set_bytes.value == pytest.approx(inactive, abs=MIB)


def test_a_writable_layer_is_what_du_says(server: Server, pod: Pod) -> None:
    container = pod.run(
        "write", "mkdir /d && dd if=/dev/zero of=/d/f bs=1M count=8 2>/dev/null; ln /d/f /g; sleep 1000"
    )
    upper = server.root / "containers" / container / "upper"
    server.wait_until((upper / "g").exists, 10, "the file to be written")
    layer = pod.stats(container).writable_layer
    blocks = int(subprocess.run(["du", "-s", "-B512", upper], capture_output=True, check=True).stdout.split()[0])
    inodes = int(subprocess.run(["du", "-s", "--inodes", upper], capture_output=True, check=True).stdout.split()[0])
    assert layer.used_bytes.value == blocks * 512 >= 8 * MIB
    assert layer.inodes_used.value == inodes
    assert os.stat(layer.fs_id.mountpoint).st_dev == os.stat(upper).st_dev


def test_network_counts_what_was_sent(client: Client, pod: Pod) -> None:
    pod.run("listen", "nc -l -p 8000 > /dev/null; sleep 1000")
    address = client("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).status.network.ip
    before = pod.pod_stats().linux.network
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection((address, 8000), 2) as connected:
                connected.sendall(bytes(4 * MIB))
                connected.shutdown(socket.SHUT_WR)
                connected.recv(1)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    after = pod.pod_stats().linux.network
    assert after.default_interface.name == "eth0"
    assert [each.name for each in after.interfaces] == []
    received = after.default_interface.rx_bytes.value - before.default_interface.rx_bytes.value
    assert 4 * MIB < received < 4 * MIB * 1.1  # what was sent, and headers
    assert 0 < after.default_interface.tx_bytes.value - before.default_interface.tx_bytes.value < MIB


def test_network_counts_what_the_pod_sends(server: Server, pod: Pod) -> None:
    with socket.create_server((f"{server.subnet}1", 0)) as listening:
        port = listening.getsockname()[1]
        before = pod.pod_stats().linux.network.default_interface
        pod.run("send", f"dd if=/dev/zero bs=64k count=64 2>/dev/null | nc {server.subnet}1 {port}; sleep 1000")
        listening.settimeout(20)
        connected, _ = listening.accept()
        with connected:
            received = 0
            while data := connected.recv(1 << 16):
                received += len(data)
                if received == 4 * MIB:
                    break
    after = pod.pod_stats().linux.network.default_interface
    assert received == 4 * MIB
    assert 4 * MIB < after.tx_bytes.value - before.tx_bytes.value < 4 * MIB * 1.1  # what was sent, and headers
    assert (after.rx_errors.value, after.tx_errors.value) == (0, 0)


def faults(every: list[int]) -> int:
    """Page faults of the processes, minor and major, and of their children that have ended."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in every]
    return sum(int(value) for each in fields for value in each[7:11])


def test_page_faults_are_what_the_process_table_says(client: Client, pod: Pod) -> None:
    # Two hundred programs make some ten thousand faults: the kernel may be a hundred behind in a cgroup's figures.
    many = "i=0; while [ $i -lt 200 ]; do /bin/sh -c :; i=$((i+1)); done"
    container = pod.run("fault", f"mkfifo /go; read x < /go; {many}; touch /done; sleep 1000")
    (shell,) = pids(client, container)
    root = Path(f"/proc/{shell}/root")
    until((root / "go").exists)
    old, before = faults([shell]), pod.stats(container).memory
    (root / "go").write_text("go\n")
    until((root / "done").exists)
    time.sleep(0.5)  # for sleep to begin, in the shell's place or as its child
    new, after = faults(pids(client, container)), pod.stats(container).memory
    told = after.page_faults.value + after.major_page_faults.value
    told -= before.page_faults.value + before.major_page_faults.value
    assert new - old > 5000
    assert told == pytest.approx(new - old, rel=0.05)


def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens by itself within seconds."""
    deadline = time.monotonic() + 20 * slowness()
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_swap_is_what_the_cgroup_says(pod: Pod) -> None:
    container = pod.run("idle", "sleep 1000")
    stats = pod.stats(container)
    files = cgroup_files(container, "memory.stat")
    if not files:
        pytest.skip("no memory controller here")
    stat = dict(line.split() for line in files[0].read_text().splitlines())
    current = [int(path.read_text()) for path in cgroup_files(container, "memory.swap.current")]
    if "total_swap" not in stat and not current:
        pytest.skip("this kernel does not account for swap (CONFIG_SWAP, swapaccount)")
    assert stats.swap.timestamp > 0
    assert stats.swap.swap_usage_bytes.value == int(stat["total_swap"] if "total_swap" in stat else current[0])


def test_a_pod_is_its_cgroup_and_its_running_containers(client: Client, pod: Pod) -> None:
    pod.run("one", "sleep 1000 & sleep 1000 & wait")
    ended = pod.run("two", "exit 0")
    cri_wait(client, ended)
    stats = pod.pod_stats()
    assert stats.attributes.metadata == pod.config.metadata
    assert dict(stats.attributes.labels) == dict(pod.config.labels)
    assert [each.attributes.metadata.name for each in stats.linux.containers] == ["one"]
    assert stats.linux.process.process_count.value == 3
    inside = stats.linux.containers[0]
    assert stats.linux.memory.usage_bytes.value >= inside.memory.usage_bytes.value > 0
    assert stats.linux.cpu.usage_core_nano_seconds.value >= inside.cpu.usage_core_nano_seconds.value > 0


def test_pressure_is_told_where_the_kernel_tells_it(pod: Pod) -> None:
    container = pod.run("busy", "while :; do :; done")
    stats = pod.stats(container)
    if not Path("/proc/pressure/cpu").exists():
        pytest.skip("this kernel has no pressure stall information (CONFIG_PSI)")
    assert stats.cpu.HasField("psi") == stats.memory.HasField("psi") == stats.io.HasField("psi")
    found = cgroup_files(container, "cpu.pressure")
    if not found:
        assert not cgroup_v2(), "every container has the file there"
        pytest.skip("no cgroup2 mount has this container")
    totals = dict(line.split(" ", 1) for line in found[0].read_text().splitlines())
    total = int(totals["some"].rpartition("=")[2]) * 1000
    assert stats.cpu.psi.Some.Total <= total
    assert pod.stats(container).cpu.psi.Some.Total >= total


def test_created_and_exited_containers_have_what_there_is_of_them(client: Client, pod: Pod) -> None:
    created = pod.create("created", "true")
    ended = pod.run("ended", "echo x > /file")
    cri_wait(client, ended)
    assert pod.listed() == {}, "a list is of running containers"
    of_created, of_ended = pod.stats(created), pod.stats(ended)
    assert of_created.cpu.usage_core_nano_seconds.value > 0
    assert of_created.memory.timestamp > 0
    assert not of_ended.HasField("cpu")
    assert not of_ended.HasField("memory")
    assert of_ended.attributes.metadata.name == "ended"
    assert of_ended.writable_layer.inodes_used.value >= 2
    with pytest.raises(grpc.RpcError) as caught:
        pod.stats("0" * 64)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_stopped_pod_has_what_there_is_of_it(client: Client, pod: Pod) -> None:
    pod.run("one", "sleep 1000")
    client("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod.id))
    stats = pod.pod_stats()
    assert stats.attributes.id == pod.id
    assert list(stats.linux.containers) == []
    wanted = pb.PodSandboxStatsFilter(id=pod.id)
    assert not client("ListPodSandboxStats", pb.ListPodSandboxStatsRequest(filter=wanted)).stats
    with pytest.raises(grpc.RpcError) as caught:
        client("PodSandboxStats", pb.PodSandboxStatsRequest(pod_sandbox_id="0" * 64))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_lists_are_filtered(pod: Pod) -> None:
    one, _ = pod.run("one", "sleep 1000"), pod.run("two", "sleep 1000")
    assert sorted(pod.listed()) == ["one", "two"]
    assert sorted(pod.listed(id=one)) == ["one"]
    assert sorted(pod.listed(label_selector={"which": "two"})) == ["two"]
    assert sorted(pod.listed(label_selector={"which": "three"})) == []


def test_streams_say_what_lists_say(server: Server, client: Client, pod: Pod) -> None:
    pod.run("one", "sleep 1000")
    pod.run("two", "sleep 1000")
    wanted = pb.ContainerStatsFilter(pod_sandbox_id=pod.id)
    streamed = messages(server.socket, "StreamContainerStats", pb.StreamContainerStatsRequest(filter=wanted))
    names = [each.attributes.metadata.name for message in streamed for each in message.container_stats]
    assert sorted(names) == ["one", "two"]
    filter_ = pb.PodSandboxStatsFilter(label_selector={"app": pod.config.metadata.name})
    pods = client("ListPodSandboxStats", pb.ListPodSandboxStatsRequest(filter=filter_)).stats
    streamed = messages(server.socket, "StreamPodSandboxStats", pb.StreamPodSandboxStatsRequest(filter=filter_))
    assert [each.attributes.id for each in pods] == [pod.id]
    assert [each.attributes.id for message in streamed for each in message.pod_sandbox_stats] == [pod.id]
    none = pb.StreamContainerStatsRequest(filter=pb.ContainerStatsFilter(id="f" * 64))
    assert messages(server.socket, "StreamContainerStats", none) == []


def test_callers_of_a_period_share_a_reading(client: Client, pod: Pod) -> None:
    container = pod.run("one", "sleep 1000")
    first = pod.stats(container)
    request = pb.ContainerStatsRequest(container_id=container)
    stamps = {client("ContainerStats", request).stats.cpu.timestamp for _ in range(3)}
    assert first.cpu.timestamp <= min(stamps)
    assert len(stamps) <= 2  # the period may end between two calls
    assert pod.stats(container).cpu.timestamp > max(stamps)


def cri_wait(client: Client, container: str) -> None:
    deadline = time.monotonic() + 20 * slowness()
    while cri.status(client, container).state != pb.ContainerState.CONTAINER_EXITED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
