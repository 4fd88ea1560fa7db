"""Pods with user namespaces of their own, looked at from inside them and from the host, on each runtime that can."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.model import cgroup_names
from tests.client.conftest import assert_clean, serving
from tests.client.test_asked import mounted
from tests.client.test_streaming import Terminal, fetch, forwarded
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.crictl import TOOLS, Crictl
from tests.support.critest import private
from tests.support.images import busybox_tree, image
from tests.support.machine import cgroup_v2
from tests.support.registry import Registry
from tests.support.server import PROJECT, Client, Server

POD, CONTAINER, NODE = pb.NamespaceMode.POD, pb.NamespaceMode.CONTAINER, pb.NamespaceMode.NODE
HOST_ID = 100000
IMAGE = "docker.io/library/userns:latest"
numbers = itertools.count()


def mapping(host_id: int = HOST_ID, length: int = 65536) -> pb.IDMapping:
    return pb.IDMapping(host_id=host_id, container_id=0, length=length)


def user_namespace(*maps: pb.IDMapping) -> pb.UserNamespace:
    return pb.UserNamespace(mode=POD, uids=maps, gids=maps)


@pytest.fixture(scope="module", params=["crun", "runc-current"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str],
    registry: Registry,
) -> Iterator[Server]:  # fmt: skip
    """A server whose default runtime maps ids, with an image whose user is 1000 and which has volumes."""
    name: str = request.param
    config: dict[str, Any] = {"image": pulling, "runtime": {"default_handler": name}}
    if name == "runc-current":
        if not (TOOLS / "runc").exists():
            pytest.skip("no current runc is built: hack/tools runc does it, with Go")
        config["runtime"]["handlers"] = {name: {"path": str(TOOLS / "runc")}}
    settings = {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": {"/data": {}, "/etc": {}}}
    registry.push("library/userns", image(busybox_tree(), config=settings), "latest")
    wrapper = private() if name == "crun" else ()
    with serving(tmp_path_factory.mktemp("server"), config, wrapper=wrapper) as running:
        with running.client() as client:
            cri.pull(client)
            cri.pull(client, IMAGE)
        yield running


@dataclass
class Pod:
    """A pod, and what is done in it."""

    client: Client
    server: Server
    config: pb.PodSandboxConfig
    id: str

    @property
    def options(self) -> pb.NamespaceOption:
        return self.config.linux.security_context.namespace_options

    def start(self, *command: str, **more: Any) -> str:
        """A started container with the pod's namespaces, and mounts mapped as a kubelet asks for them."""
        wish = container_config(f"c{next(numbers)}", *(command or ("sleep", "1000")))
        wish.MergeFrom(pb.ContainerConfig(**more))
        wish.linux.security_context.namespace_options.CopyFrom(self.options)
        for mount in wish.mounts:
            mount.uidMappings.extend(self.options.userns_options.uids)
            mount.gidMappings.extend(self.options.userns_options.gids)
        container_id = cri.create(self.client, self.id, wish, self.config)
        cri.start(self.client, container_id)
        return container_id

    def exec(self, container_id: str, command: str) -> str:
        """Standard output of a shell that must succeed."""
        request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", command], timeout=20)
        answer = self.client("ExecSync", request)
        assert answer.exit_code == 0, answer.stderr.decode()
        return str(answer.stdout.decode().rstrip("\n"))

    def pid(self, container_id: str) -> int:
        """The init's pid on the host."""
        request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
        return int(json.loads(self.client("ContainerStatus", request).info["info"])["pid"])

    def upper(self, container_id: str) -> Path:
        """Where on the host is what a container writes into its root."""
        return self.server.root / "containers" / container_id / "upper"


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as connected:
        yield connected


@pytest.fixture
def run(client: Client, server: Server, logs: Path) -> Iterator[Callable[..., Pod]]:
    """Makes pods with user namespaces; in the end nothing of them may be left."""
    made: list[str] = []

    def make(
        host_id: int = HOST_ID,
        length: int = 65536,
        *,
        pid: pb.NamespaceMode.ValueType = CONTAINER,
        network: pb.NamespaceMode.ValueType = POD,
        sysctls: Mapping[str, str] | None = None,
    ) -> Pod:
        config = pod_config(f"pod{next(numbers)}", logs)
        options = config.linux.security_context.namespace_options
        options.pid, options.network = pid, network
        options.userns_options.CopyFrom(user_namespace(mapping(host_id, length)))
        config.linux.sysctls.update(sysctls or {})
        made.append(cri.run(client, config))
        return Pod(client, server, config, made[-1])

    yield make
    for pod_id in made:
        cri.remove_pod(client, pod_id)
    assert_clean(server)


def ids(path: Path) -> tuple[int, int]:
    return path.lstat().st_uid, path.lstat().st_gid


def namespace(pid: int | str, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def owner(pid: int, kind: str) -> str:
    """The user namespace that owns a process's namespace, as its identity."""
    with open(f"/proc/{pid}/ns/{kind}", "rb") as file:
        fd = fcntl.ioctl(file, 0xB701)  # NS_GET_USERNS of ioctl_ns(2)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def test_root_inside_is_nobody_outside(run: Callable[..., Pod]) -> None:
    pod = run()
    container_id = pod.start()
    assert pod.exec(container_id, "cat /proc/self/uid_map").split() == ["0", str(HOST_ID), "65536"]
    assert pod.exec(container_id, "cat /proc/1/gid_map").split() == ["0", str(HOST_ID), "65536"]
    assert pod.exec(container_id, "id -u; id -g").split() == ["0", "0"]
    pid = pod.pid(container_id)
    assert re.search(rf"^Uid:\t{HOST_ID}\t", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert namespace(pid, "user") != namespace("self", "user")
    assert {owner(pid, kind) for kind in ("net", "ipc", "uts", "pid", "mnt", "cgroup")} == {namespace(pid, "user")}


def test_status_tells_the_ids_as_they_are_inside(run: Callable[..., Pod]) -> None:
    pod = run()
    security = pb.LinuxContainerSecurityContext(
        run_as_user=pb.Int64Value(value=1000), run_as_group=pb.Int64Value(value=2000), supplemental_groups=[3000]
    )
    container_id = pod.start(linux=pb.LinuxContainerConfig(security_context=security))
    user = cri.status(pod.client, container_id).user.linux
    assert (user.uid, user.gid, list(user.supplemental_groups)) == (1000, 2000, [2000, 3000])
    assert pod.exec(container_id, "id -u; id -g").split() == ["1000", "2000"]
    assert f"\nUid:\t{HOST_ID + 1000}\t" in Path(f"/proc/{pod.pid(container_id)}/status").read_text()
    status = pod.client("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).status
    assert status.linux.namespaces.options.userns_options == user_namespace(mapping())


def test_files_of_the_image_and_new_ones(run: Callable[..., Pod]) -> None:
    pod = run()
    container_id = pod.start()
    assert set(pod.exec(container_id, "stat -c %u:%g / /bin /bin/sh /etc").split()) == {"0:0"}
    pod.exec(container_id, "touch /new; mkdir /bin/dir; chown 7:8 /new; echo x >/etc/group; rm /bin/true")
    upper = pod.upper(container_id)
    assert ids(upper) == ids(upper / "bin/dir") == (HOST_ID, HOST_ID)
    assert ids(upper / "new") == (HOST_ID + 7, HOST_ID + 8)
    layers = list((pod.server.root / "layers").glob("*/bin/sh"))
    assert layers and {ids(path) for path in layers} == {(0, 0)}, "the image is as it was"


def test_pods_with_other_ids_share_one_image(run: Callable[..., Pod]) -> None:
    before = sorted((path.name, path.stat().st_ino) for path in (run().server.root / "layers").iterdir())
    pods = [run(), run(HOST_ID + 65536), run(5000, 40)]
    containers = [pod.start() for pod in pods]
    for pod, container_id in zip(pods, containers, strict=True):
        assert pod.exec(container_id, "stat -c %u /bin/sh; touch /new && stat -c %u /new").split() == ["0", "0"]
        inode = pod.exec(container_id, "stat -c %i /bin/sh")
        assert inode == pods[0].exec(containers[0], "stat -c %i /bin/sh")
    owners = [ids(pod.upper(container_id) / "new")[0] for pod, container_id in zip(pods, containers, strict=True)]
    assert owners == [HOST_ID, HOST_ID + 65536, 5000]
    assert sorted((path.name, path.stat().st_ino) for path in (pods[0].server.root / "layers").iterdir()) == before


def test_volumes_are_mapped(run: Callable[..., Pod], tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "theirs").write_text("x")
    os.chown(volume / "theirs", 5, 6)
    pod = run()
    mounts = [
        pb.Mount(container_path="/volume", host_path=str(volume)),
        pb.Mount(container_path="/readonly", host_path=str(volume), readonly=True),
    ]
    container_id = pod.start(mounts=mounts)
    assert pod.exec(container_id, "stat -c %u:%g /volume /volume/theirs").split() == ["0:0", "5:6"]
    pod.exec(container_id, "touch /volume/ours; chown 7:8 /volume/ours; ! touch /readonly/x 2>/dev/null")
    assert ids(volume / "ours") == (7, 8), "the host sees the ids of the volume, not those of the pod"
    assert ids(volume / "theirs") == (5, 6)


def test_mounts_below_a_volume_are_there_or_refused(run: Callable[..., Pod], server: Server, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    volume = pb.Mount(container_path="/volume", host_path=str(tmp_path))
    with mounted(server, "-t", "tmpfs", "below", f"{tmp_path}/below"):
        pod = run()
        try:
            container_id = pod.start(mounts=[volume])
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert f"with {tmp_path}/below mounted in its source" in str(error.details())
            assert server.config["runtime"]["default_handler"] == "crun", "a runtime that heeds rbind"
        else:
            assert " - tmpfs below " in pod.exec(container_id, "grep ' /volume/below ' /proc/self/mountinfo")
    assert list((tmp_path / "below").iterdir()) == []
    pod.start(mounts=[volume])


def test_image_volumes_are_mapped(run: Callable[..., Pod]) -> None:
    pod = run()
    mounts = [
        pb.Mount(container_path="/whole", image=pb.ImageSpec(image=cri.BUSYBOX)),
        pb.Mount(container_path="/part", image=pb.ImageSpec(image=cri.BUSYBOX), image_sub_path="bin"),
    ]
    container_id = pod.start(mounts=mounts)
    assert set(pod.exec(container_id, "stat -c %u:%g /whole/bin /part/sh").split()) == {"0:0"}
    pod.exec(container_id, "! touch /whole/x 2>/dev/null")


def test_the_images_own_volumes(run: Callable[..., Pod]) -> None:
    pod = run()
    container_id = pod.start(image=pb.ImageSpec(image=IMAGE))
    assert set(pod.exec(container_id, "stat -c %u:%g /data /etc /etc/passwd").split()) == {"0:0"}
    pod.exec(container_id, "touch /data/x; echo >>/etc/passwd")


def test_files_of_the_pod(run: Callable[..., Pod]) -> None:
    pod = run()
    container_id = pod.start()
    files = "/etc/hosts /etc/hostname /etc/resolv.conf /dev/shm"
    assert set(pod.exec(container_id, f"stat -c %u:%g {files}").split()) == {"0:0"}
    pod.exec(container_id, "echo '10.0.0.1 peer' >>/etc/hosts; echo x >/dev/shm/x; test -w /etc/resolv.conf")
    other = pod.start()
    assert "peer" in pod.exec(other, "cat /etc/hosts") and pod.exec(other, "cat /dev/shm/x") == "x"


def test_network_administration_means_something(run: Callable[..., Pod]) -> None:
    pod = run(sysctls={"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shm_rmid_forced": "1"})
    capabilities = pb.Capability(add_capabilities=["NET_ADMIN"])
    security = pb.LinuxContainerSecurityContext(capabilities=capabilities)
    container_id = pod.start(linux=pb.LinuxContainerConfig(security_context=security))
    pod.exec(container_id, "ip link set lo mtu 1400; ip addr add 10.99.0.1/32 dev lo")
    assert "mtu 1400" in pod.exec(container_id, "ip link show lo")
    assert pod.exec(container_id, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "0"
    assert pod.exec(container_id, "cat /proc/sys/kernel/shm_rmid_forced") == "1"
    assert pod.exec(container_id, "ls /sys/class/net | grep -v bonding_masters").split() == ["eth0", "lo"]
    plain = pod.start()
    pod.exec(plain, "! ip link set lo mtu 1300 2>/dev/null")


def test_the_network_is_reached(run: Callable[..., Pod]) -> None:
    pod = run()
    pod.start("sh", "-c", "echo page >/index.html; exec httpd -f -h /")
    status = pod.client("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).status
    other = run(HOST_ID + 65536)
    asking = other.start()
    deadline = time.monotonic() + 20
    while "page" not in other.exec(asking, f"wget -q -O - http://{status.network.ip}/ || true"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_streams_of_a_client(run: Callable[..., Pod], crictl: Crictl) -> None:
    pod = run()
    container_id = pod.start("sh", "-c", "echo page >/index.html; exec httpd -f -p 8080 -h /")
    assert crictl("exec", container_id, "id", "-u").strip() == "0"
    terminal = Terminal(crictl, "exec", "--interactive", "--tty", container_id, "sh")
    try:
        terminal.wait_for("# ")
        terminal.type("stat -c %u:%F $(tty) && echo do''ne\n")
        terminal.wait_for(r"\n0:character special file\r\ndone")
    finally:
        terminal.close()
    with forwarded(crictl, pod.id, 8080, "websocket") as port:
        assert fetch(port, "/index.html")[0] == len("page\n")


def test_shared_pid_namespace(run: Callable[..., Pod], tmp_path: Path) -> None:
    pod = run(pid=POD)
    first, second = pod.start("sleep", "1001"), pod.start("sleep", "1002")
    listing = pod.exec(first, "ps -o pid,args")
    assert "sleep 1001" in listing and "sleep 1002" in listing
    pids = [pod.pid(each) for each in (first, second)]
    assert len({namespace(pid, "pid") for pid in pids}) == 1
    assert owner(pids[0], "pid") == namespace(pids[0], "user")
    # Volumes as well: crun before 1.8.6 takes the mappings in other words only.
    third = pod.start(mounts=[pb.Mount(container_path="/volume", host_path=str(tmp_path))])
    pod.exec(third, "touch /volume/ours")
    assert ids(tmp_path / "ours") == (0, 0)
    assert pod.exec(first, "cat /proc/1/comm") == "pod-init"
    for path in ("root", "exe", "fd", "environ", "cwd", "map_files", "ns/net"):
        pod.exec(first, f"! ls /proc/1/{path}/ 2>/dev/null && ! cat /proc/1/{path} 2>/dev/null")
    pod.exec(first, "kill -KILL 1; kill -TERM 1; true")
    assert pod.exec(first, "cat /proc/1/comm") == "pod-init"


def test_target_pid_namespace(run: Callable[..., Pod]) -> None:
    pod = run()
    target = pod.start("sleep", "1003")
    wish = container_config(f"c{next(numbers)}", "sleep", "1000")
    options = wish.linux.security_context.namespace_options
    options.CopyFrom(pod.options)
    options.pid, options.target_id = pb.NamespaceMode.TARGET, target
    container_id = cri.create(pod.client, pod.id, wish, pod.config)
    cri.start(pod.client, container_id)
    assert "sleep 1003" in pod.exec(container_id, "ps -o args")


def test_host_network(run: Callable[..., Pod]) -> None:
    pod = run(network=NODE)
    capabilities = pb.Capability(add_capabilities=["NET_ADMIN"])
    security = pb.LinuxContainerSecurityContext(capabilities=capabilities)
    container_id = pod.start(linux=pb.LinuxContainerConfig(security_context=security))
    pid = pod.pid(container_id)
    assert namespace(pid, "net") == namespace("self", "net")
    assert namespace(pid, "user") != namespace("self", "user")
    pod.exec(container_id, "! ip link set lo mtu 1400 2>/dev/null")
    assert set(pod.exec(container_id, "ls /sys/class/net").split()) >= set(os.listdir("/sys/class/net"))
    pod.exec(container_id, "! touch /sys/x 2>/dev/null && ! echo 1 2>/dev/null >/sys/kernel/profiling")
    assert " /sys sysfs ro," in pod.exec(container_id, "cat /proc/mounts")
    assert pod.exec(container_id, "hostname") == os.uname().nodename


def test_limits_and_oom_score(run: Callable[..., Pod]) -> None:
    pod = run()
    resources = pb.LinuxContainerResources(memory_limit_in_bytes=64 << 20, oom_score_adj=600)
    container_id = pod.start(linux=pb.LinuxContainerConfig(resources=resources))
    assert Path(f"/proc/{pod.pid(container_id)}/oom_score_adj").read_text() == "600\n"
    update = pb.LinuxContainerResources(memory_limit_in_bytes=96 << 20)
    pod.client("UpdateContainerResources", pb.UpdateContainerResourcesRequest(container_id=container_id, linux=update))
    assert cri.status(pod.client, container_id).resources.linux.memory_limit_in_bytes == 96 << 20
    stats = pod.client("ContainerStats", pb.ContainerStatsRequest(container_id=container_id)).stats
    assert stats.memory.working_set_bytes.value > 0 and stats.writable_layer.inodes_used.value > 0
    network = pod.client("PodSandboxStats", pb.PodSandboxStatsRequest(pod_sandbox_id=pod.id)).stats.linux.network
    assert network.default_interface.name == "eth0"


@pytest.mark.parametrize("pid", [CONTAINER, POD], ids=["private pid", "shared pid"])
def test_cve_2025_47291_containers_are_below_the_cgroup_of_their_pod(
    run: Callable[..., Pod], pid: pb.NamespaceMode.ValueType
) -> None:
    pod = run(pid=pid)
    request = pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id, verbose=True)
    parent = cgroup_names.directory(json.loads(pod.client("PodSandboxStatus", request).info["info"])["cgroupParent"])
    for line in Path(f"/proc/{pod.pid(pod.start())}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if cgroup_v2() or controllers.split(",")[0] in ("memory", "pids", "cpu"):
            assert path.startswith(f"{parent}/"), line


def test_streams_belong_to_the_user(run: Callable[..., Pod]) -> None:
    pod = run()
    security = pb.LinuxContainerSecurityContext(run_as_user=pb.Int64Value(value=1000))
    linux = pb.LinuxContainerConfig(security_context=security)
    container_id = pod.start("sh", "-c", "echo said >/dev/stdout; echo more >/proc/self/fd/2", linux=linux)
    deadline = time.monotonic() + 20
    while cri.status(pod.client, container_id).state != pb.ContainerState.CONTAINER_EXITED:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    status = cri.status(pod.client, container_id)
    log = Path(status.log_path)
    assert status.exit_code == 0, log.read_text()
    assert [line.split(" ")[1:] for line in log.read_text().splitlines()] == [
        ["stdout", "F", "said"],
        ["stderr", "F", "more"],
    ]
    assert ids(log) == (0, 0)


def test_a_terminal(run: Callable[..., Pod]) -> None:
    pod = run()
    container_id = pod.start("sh", "-c", "tty; stat -c %u /dev/console /dev/pts/0; sleep 1000", tty=True)
    deadline = time.monotonic() + 20
    while "0\r\n" not in (text := Path(cri.status(pod.client, container_id).log_path).read_text()) and "\n" not in text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "/dev/pts/0" in text or "/dev/console" in text, text


def test_devices(run: Callable[..., Pod]) -> None:
    pod = run()
    device = pb.Device(host_path="/dev/fuse", container_path="/dev/mine", permissions="rw")
    if not Path(device.host_path).exists():
        pytest.skip("this machine has no /dev/fuse")
    container_id = pod.start(devices=[device])
    assert pod.exec(container_id, "stat -c %F /dev/mine; echo x >/dev/null") == "character special file"


def test_a_repair_finds_all_in_order_and_takes_nothing_away(run: Callable[..., Pod], server: Server) -> None:
    pod = run(pid=POD)
    container_id = pod.start(mounts=[pb.Mount(container_path="/volume", image=pb.ImageSpec(image=cri.BUSYBOX))])
    argv = [sys.executable, "-m", "criserver", "check", "--repair", "--listen", server.socket]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=60)
    assert (done.returncode, done.stdout) == (0, "everything is in order\n"), done.stderr
    assert pod.exec(pod.start(), "cat /proc/self/uid_map") == pod.exec(container_id, "cat /proc/self/uid_map")


def test_pods_live_through_a_restart(run: Callable[..., Pod], server: Server) -> None:
    if server.wrapper:
        pytest.skip("pins live in the mount namespace that keeps this machine's cgroup2 mount from crun")
    pod = run(pid=POD)
    container_id = pod.start()
    server.kill9()
    server.start()
    with server.client() as client:
        again = Pod(client, server, pod.config, pod.id)
        assert again.exec(container_id, "cat /proc/self/uid_map").split() == ["0", str(HOST_ID), "65536"]
        other = again.start()
        assert namespace(again.pid(other), "user") == namespace(again.pid(container_id), "user")


@pytest.mark.parametrize(
    ("userns", "words"),
    [
        (user_namespace(), "userns_options.uids: 0 mappings with mode POD"),
        (user_namespace(mapping(), mapping(300000)), "userns_options.uids: 2 mappings"),
        (user_namespace(mapping(0)), "userns_options.uids: host_id 0 is the root of the node"),
        (user_namespace(pb.IDMapping(host_id=1000, container_id=1, length=5)), "userns_options.uids: container_id 1"),
        (user_namespace(mapping(length=0)), "userns_options.uids: a mapping of 0 ids"),
        (user_namespace(mapping(2**32 - 2)), "userns_options.uids: a mapping of 65536 ids up to"),
        (pb.UserNamespace(mode=CONTAINER), "userns_options.mode: CONTAINER"),
        (pb.UserNamespace(mode=NODE, uids=[mapping()]), "userns_options: mappings with mode NODE"),
    ],
)
def test_refusals(client: Client, server: Server, userns: pb.UserNamespace, words: str) -> None:
    config = pod_config("refused")
    config.linux.security_context.namespace_options.userns_options.CopyFrom(userns)
    with pytest.raises(grpc.RpcError) as caught:
        cri.run(client, config)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"config.linux.security_context.namespace_options.{words}" in str(caught.value.details())
    assert_clean(server)


def test_what_a_container_may_not_ask_for(run: Callable[..., Pod]) -> None:
    pod = run(length=40)
    other = pb.NamespaceOption(pid=CONTAINER, userns_options=user_namespace(mapping(7)))
    node = pb.NamespaceOption(pid=CONTAINER, userns_options=pb.UserNamespace(mode=NODE))
    for more, words in (
        ({"namespace_options": other}, "userns_options: other than those of the pod"),
        ({"namespace_options": node}, "userns_options: other than those of the pod"),
        ({"run_as_user": pb.Int64Value(value=40)}, "user id 40 is not mapped"),
    ):
        wish = container_config(f"c{next(numbers)}", "sleep", "1000")
        wish.linux.security_context.MergeFrom(pb.LinuxContainerSecurityContext(**more))
        with pytest.raises(grpc.RpcError, match=words) as caught:
            cri.create(pod.client, pod.id, wish, pod.config)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_debians_runc_is_refused(client: Client, server: Server) -> None:
    told = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=True).stdout
    if not told.startswith("runc version 1.1."):
        pytest.skip("the machine's runc has idmapped mounts")
    config = pod_config("refused")
    config.linux.security_context.namespace_options.userns_options.CopyFrom(user_namespace(mapping()))
    with pytest.raises(grpc.RpcError, match="has no idmapped mounts, which runc has since 1.2") as caught:
        cri.run(client, config, handler="runc")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    handlers = {each.name: each for each in client("Status", pb.StatusRequest()).runtime_handlers}
    assert not handlers["runc"].features.user_namespaces and handlers[""].features.user_namespaces
    assert client("Status", pb.StatusRequest()).features.user_namespaces_host_network
    assert_clean(server)
