"""Published flaws of CRI servers and runtimes, each tried against this one: an image, a request or a container attacks.

Named by their ids. What they are about is told where it is decided (`spec/`, `kernel/fds`); here it is seen from
outside: nothing of the host changes or shows, and the server says why it refuses.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.model import cgroup_names
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.images import Node, busybox_tree, device, directory, file, image, symlink, tar
from tests.support.registry import Registry
from tests.support.server import Client, Server

NODE = pb.NamespaceMode.NODE
EXITED = pb.ContainerState.CONTAINER_EXITED
HOST_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/passwd", "/etc/mtab", "/etc/shadow")


@pytest.fixture(scope="module")
def busybox() -> bytes:
    return tar(busybox_tree())


@dataclass
class Lab:
    """A pod to attack in, and images to attack with."""

    client: Client
    registry: Registry
    busybox: bytes
    pod_id: str
    pod: pb.PodSandboxConfig

    def image(self, name: str, files: Mapping[str, Node] | None = None, **config: Any) -> str:
        """Push and pull busybox with files over it."""
        over = [dict(files)] if files else []
        self.registry.push(
            f"cve/{name}", image(self.busybox, *over, config={"Cmd": ["sh"], "Env": ["PATH=/bin"], **config}), "1"
        )
        reference = f"docker.io/cve/{name}:1"
        cri.pull(self.client, reference)
        return reference

    def create(self, *command: str, image: str = cri.BUSYBOX, **more: Any) -> str:
        """A created container; `more` are fields of ContainerConfig."""
        wish = container_config(f"c{os.urandom(4).hex()}", *(command or ("sleep", "1000")))
        wish.image.image = image
        wish.MergeFrom(pb.ContainerConfig(**more))
        return cri.create(self.client, self.pod_id, wish, self.pod)

    def start(self, *command: str, **more: Any) -> str:
        """A started container."""
        container_id = self.create(*command, **more)
        cri.start(self.client, container_id)
        return container_id

    def sh(self, container_id: str, script: str) -> str:
        """What a shell in the container writes, errors included."""
        request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", f"{{ {script}; }} 2>&1"], timeout=20)
        return str(self.client("ExecSync", request).stdout.decode())

    def refused(self, *command: str, **more: Any) -> str:
        """The words with which a container is refused, when it is made or at the latest when it starts."""
        with pytest.raises(grpc.RpcError) as caught:
            self.start(*command, **more)
        return str(caught.value.details())

    def spec(self, container_id: str) -> Any:
        """The OCI document of a container."""
        request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
        return json.loads(self.client("ContainerStatus", request).info["info"])["runtimeSpec"]


@pytest.fixture
def lab(client: Client, registry: Registry, busybox: bytes, logs: Path) -> Iterator[Lab]:
    cri.pull(client)
    config = pod_config("attacked", logs)
    before = host_state()
    pod_id = cri.run(client, config)
    yield Lab(client, registry, busybox, pod_id, config)
    cri.remove_pod(client, pod_id)
    assert host_state() == before, "the host has changed"


def host_state() -> dict[str, str]:
    """What attacks aim at."""
    found = {}
    for path in filter(os.path.lexists, HOST_FILES):
        content = os.readlink(path).encode() if os.path.islink(path) else Path(path).read_bytes()
        found[path] = hashlib.sha256(content).hexdigest()
    return found


def security(**more: Any) -> pb.LinuxContainerConfig:
    return pb.LinuxContainerConfig(security_context=pb.LinuxContainerSecurityContext(**more))


def up(path: Path | str) -> str:
    """A relative link that leads to a path of the host, from wherever it is followed."""
    return "../" * 40 + str(path).lstrip("/")


# Users and groups


def test_cve_2019_11245_the_user_of_an_image_outlives_the_server(lab: Lab, server: Server) -> None:
    numbered, named = lab.image("user-1234", User="1234:99"), lab.image("user-named", User="www-data")
    server.kill9()
    server.start()
    with server.client() as client:
        again = replace(lab, client=client)
        for reference, uid, name, shown in ((numbered, 1234, "", "1234 99"), (named, 0, "www-data", "33 33")):
            request = pb.ImageStatusRequest(image=pb.ImageSpec(image=reference))
            told = client("ImageStatus", request).image
            assert (told.uid.value, told.HasField("uid"), told.username) == (uid, bool(uid), name)
            cri.pull(client, reference)
            assert client("ImageStatus", request).image == told, "asked for again it is the same"
            container_id = again.start(image=reference)
            assert again.sh(container_id, "echo $(id -u) $(id -g)").strip() == shown


@pytest.mark.parametrize("home", ["/x\nevil:x:0:0::/:/bin/sh", "/x\revil", "/x\\nevil:x:0:0::/:/bin/sh"])
def test_cve_2022_4318_and_2026_15809_home_adds_no_user(lab: Lab, home: str) -> None:
    envs = [pb.KeyValue(key="HOME", value=home.encode())]
    try:
        container_id = lab.start(envs=envs, linux=security(run_as_user=pb.Int64Value(value=4321)))
    except grpc.RpcError as error:
        assert "HOME" in str(error)
    else:
        assert "evil" not in lab.sh(container_id, "cat /etc/passwd")


@pytest.mark.parametrize("path", ["etc/passwd", "etc/group"])
@pytest.mark.parametrize(
    "node",
    [file(b"\0" * (5 << 20)), Node(tarfile.FIFOTYPE), device(1, 5), symlink("/dev/zero"), directory()],
    ids=["huge", "fifo", "device", "link-to-device", "directory"],
)
def test_cve_2025_4437_2026_47262_2024_9676_accounts_that_are_no_small_file(lab: Lab, path: str, node: Node) -> None:
    name = f"accounts-{path[4:]}-{node.kind.hex()}-{len(node.data)}"
    reference = lab.image(name, {path: node}, User="somebody:something")
    assert lab.refused(image=reference)


@pytest.mark.parametrize("user", ["4294967296", "2147483648", "-1", "0:4294967296", "18446744073709551616"])
def test_cve_2026_46680_and_2024_40635_a_number_out_of_range_is_not_root(lab: Lab, user: str) -> None:
    passwd = file(f"root:x:0:0::/:/bin/sh\n{user.partition(':')[0]}:x:0:0::/:/bin/sh\n")
    reference = lab.image(f"user{user.replace(':', '.')}", {"etc/passwd": passwd}, User=user)
    assert user.rpartition(":")[2] in lab.refused(image=reference)


def test_cve_2022_2995_and_2023_25173_the_primary_group_is_among_the_groups(lab: Lab) -> None:
    linux = security(
        run_as_user=pb.Int64Value(value=1000), run_as_group=pb.Int64Value(value=2000), supplemental_groups=[3000]
    )
    container_id = lab.start(linux=linux)
    (groups,) = [line for line in lab.sh(container_id, "cat /proc/1/status").splitlines() if line.startswith("Groups")]
    assert set(groups.split()[1:]) == {"2000", "3000"}


# Privileges


@pytest.mark.parametrize("uid", [0, 1000])
def test_cve_2022_27652_2022_24769_2022_29162_nothing_is_inheritable(lab: Lab, uid: int) -> None:
    added = pb.Capability(add_capabilities=["NET_ADMIN"])
    container_id = lab.start(linux=security(run_as_user=pb.Int64Value(value=uid), capabilities=added))
    for process in ("1", "self"):
        status = dict(line.split(":\t", 1) for line in lab.sh(container_id, f"cat /proc/{process}/status").splitlines())
        assert int(status["CapInh"], 16) == 0 and int(status["CapAmb"], 16) == 0


def test_cve_2023_2431_an_empty_localhost_profile_is_not_unconfined(lab: Lab) -> None:
    seccomp = pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost)
    assert "localhost" in lab.refused(linux=security(seccomp=seccomp))


def test_ghsa_g54h_m393_cpwq_devices_are_denied_unless_allowed(lab: Lab) -> None:
    container_id = lab.start()
    assert lab.spec(container_id)["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    number = os.stat("/dev/mem").st_rdev if os.path.exists("/dev/mem") else os.makedev(1, 1)
    words = lab.sh(container_id, f"mknod /mem c {os.major(number)} {os.minor(number)}; head -c 1 /mem")
    assert "Operation not permitted" in words


def test_ghsa_7ww5_4wqc_m92c_power_meters_are_masked(lab: Lab) -> None:
    assert "/sys/devices/virtual/powercap" in lab.spec(lab.create())["linux"]["maskedPaths"]


# Sysctls


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/evil"),
        ("kernel.shm_rmid_forced", "1\nkernel.core_pattern = x"),
        ("net.ipv4.ip_forward", "1=2"),
        ("kernel.core_pattern", "|/evil"),
        ("net/../kernel.core_pattern", "|/evil"),
    ],
)
def test_cve_2022_0811_a_sysctl_is_one_sysctl(client: Client, key: str, value: str) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    config = pod_config("sysctl")
    config.linux.sysctls[key] = value
    with pytest.raises(grpc.RpcError, match="sysctls"):
        cri.run(client, config)
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


@pytest.mark.parametrize(("namespace", "key"), [("network", "net.ipv4.ip_forward"), ("ipc", "kernel.shm_rmid_forced")])
def test_cve_2022_0532_no_sysctl_of_the_node(client: Client, namespace: str, key: str) -> None:
    path = Path("/proc/sys", key.replace(".", "/"))
    before = path.read_text()
    config = pod_config("sysctl")
    setattr(config.linux.security_context.namespace_options, namespace, NODE)
    config.linux.sysctls[key] = "0" if before.strip() == "1" else "1"
    with pytest.raises(grpc.RpcError, match="would change the node"):
        cri.run(client, config)
    assert path.read_text() == before


# Annotations and labels


def test_cve_2024_3154_and_2023_6476_annotations_do_not_reach_the_runtime(lab: Lab) -> None:
    asked = {"org.systemd.property.ExecStartPre": "['/evil']", "run.oci.handler": "evil", "x/main": "1"}
    container_id = lab.create(annotations=asked)
    assert not asked.keys() & lab.spec(container_id)["annotations"].keys()


def test_cve_2026_53488_labels_of_an_image_are_not_those_of_a_container(lab: Lab) -> None:
    labels = {"io.kubernetes.pod.uid": "evil", "io.criserver.container.id": "evil", "org.systemd.property.X": "evil"}
    container_id = lab.create(image=lab.image("labels", Labels=labels))
    assert not cri.status(lab.client, container_id).labels and not cri.status(lab.client, container_id).annotations
    assert "evil" not in lab.spec(container_id)["annotations"].values()


# Links in images


@pytest.mark.parametrize("link", ["etc", "dev", "run", "tmp/new", "var"])
def test_cve_2024_5154_and_2026_41579_links_to_the_host_change_nothing_there(
    lab: Lab, tmp_path: Path, link: str
) -> None:
    bait = tmp_path / "bait"
    bait.mkdir()
    tree = {name: node for name, node in busybox_tree().items() if name.split("/")[0] != link}
    lab.registry.push(f"cve/link-{link.replace('/', '-')}", image({**tree, link: symlink(up(bait))}), "1")
    reference = f"docker.io/cve/link-{link.replace('/', '-')}:1"
    cri.pull(lab.client, reference)
    mounts = [pb.Mount(host_path=str(bait), container_path="/tmp/new/deep")] if link == "tmp/new" else []
    with contextlib.suppress(grpc.RpcError):  # the runtime may refuse such a root
        lab.start(image=reference, mounts=mounts)
    assert list(bait.iterdir()) == []


def test_cve_2026_55686_a_working_directory_behind_a_link(lab: Lab, tmp_path: Path) -> None:
    reference = lab.image("workdir", {"link": symlink(up(tmp_path))}, WorkingDir="/link/made")
    with contextlib.suppress(grpc.RpcError):  # to refuse it is as good
        lab.start(image=reference)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("number", range(3, 13))
def test_cve_2024_21626_a_working_directory_is_no_descriptor(lab: Lab, number: int) -> None:
    assert "working" in lab.refused(working_dir=f"/proc/self/fd/{number}")


def test_cve_2024_21626_a_container_has_three_descriptors(lab: Lab) -> None:
    container_id = lab.start()
    assert lab.sh(container_id, "ls /proc/1/fd").split() == ["0", "1", "2"]


@pytest.mark.parametrize("volume", ["/../../etc", "/x/../../../etc"])
def test_cve_2022_23648_a_volume_lies_in_the_image(lab: Lab, volume: str) -> None:
    reference = lab.image(f"volume-{volume.count('/')}", Volumes={volume: {}})
    assert f"the image's VOLUME: {volume!r}" in lab.refused(image=reference)


def test_cve_2022_23648_a_volume_behind_a_link_shows_nothing_of_the_host(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    reference = lab.image("volume-link", {"data": symlink(up(tmp_path))}, Volumes={"/data": {}})
    container_id = lab.start(image=reference)
    assert "secret" not in lab.sh(container_id, "ls -A /data /data/")
    lab.sh(container_id, "touch /data/made")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "secret"]


@pytest.mark.parametrize("volume", ["/proc", "/proc/sys", "/proc/self/attr"])
def test_cve_2019_16884_2023_27561_2023_28642_nothing_lies_over_proc(lab: Lab, tmp_path: Path, volume: str) -> None:
    reference = lab.image(f"proc{volume.count('/')}{len(volume)}", Volumes={volume: {}})
    assert volume in lab.refused(image=reference)
    assert volume in lab.refused(mounts=[pb.Mount(host_path=str(tmp_path), container_path=volume)])


def test_cve_2019_19921_a_link_at_proc(lab: Lab) -> None:
    tree = {name: node for name, node in busybox_tree().items() if name.split("/")[0] != "proc"}
    lab.registry.push("cve/proc-link", image({**tree, "other/": directory(), "proc": symlink("other")}), "1")
    cri.pull(lab.client, "docker.io/cve/proc-link:1")
    assert "proc" in lab.refused(image="docker.io/cve/proc-link:1")


def test_cve_2025_31133_masked_files_stay_unreadable(lab: Lab) -> None:
    reference = lab.image("null", {"dev/null": symlink("/etc/passwd")})
    container_id = lab.start(image=reference, linux=security(masked_paths=["/proc/timer_list", "/etc/group"]))
    assert lab.sh(container_id, "cat /proc/timer_list /etc/group") == ""
    assert lab.sh(container_id, "echo x > /etc/group; cat /etc/group") == ""


def test_cve_2025_52565_a_terminal_is_the_runtimes_own(lab: Lab) -> None:
    reference = lab.image("pts", {"dev/pts/0": symlink("/etc/passwd"), "dev/console": symlink("/etc/passwd")})
    container_id = lab.start(image=reference, tty=True)
    assert "root:" not in lab.sh(container_id, "head -c 0 /dev/console; ls -l /dev/console /dev/pts/0")
    assert lab.sh(container_id, "head -n 1 /etc/passwd").startswith("root:")


def test_cve_2019_5736_the_runtime_is_not_overwritten(lab: Lab) -> None:
    binary = Path(shutil.which("runc") or "/usr/sbin/runc")
    before = hashlib.sha256(binary.read_bytes()).hexdigest()
    reference = lab.image("self-exe", {"entry": symlink("/proc/self/exe")}, Entrypoint=["/entry"])
    with contextlib.suppress(grpc.RpcError):  # the runtime refuses to become the container's program
        lab.start("/entry", image=reference)
    assert hashlib.sha256(binary.read_bytes()).hexdigest() == before


def test_cve_2026_24054_an_image_without_layers_has_an_empty_root(lab: Lab) -> None:
    lab.registry.push("cve/empty", image(config={"Cmd": ["/bin/sh"]}), "1")
    cri.pull(lab.client, "docker.io/cve/empty:1")
    assert "/bin/sh" in lab.refused("/bin/sh", image="docker.io/cve/empty:1")


# Names and paths of the request


@pytest.mark.parametrize("field", ["uid", "name", "namespace"])
def test_cve_2025_0750_and_2024_8676_names_are_no_paths(client: Client, field: str) -> None:
    config = pod_config("path")
    setattr(config.metadata, field, "../../../etc")
    with pytest.raises(grpc.RpcError, match=rf"metadata\.{field}"):
        cri.run(client, config)


def test_cve_2025_0750_a_log_stays_in_its_directory(lab: Lab, logs: Path) -> None:
    assert "log_path" in lab.refused(log_path="../escaped.log")
    outside = logs.parent / "outside"
    outside.mkdir()
    (logs / "link").symlink_to(outside)
    lab.sh(lab.start(log_path="link/main.log"), "true")
    assert {path.name for path in outside.iterdir()} <= {"main.log"}


# One container and another, and the server's own things


def test_cve_2021_21334_each_container_has_its_own_environment(lab: Lab) -> None:
    def made(number: int) -> list[str]:
        envs = [pb.KeyValue(key=f"ONLY_{number}", value=b"1")]
        return list(lab.spec(lab.create(envs=envs))["process"]["env"])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(made, range(16)))
    for number, env in enumerate(found):
        assert [each for each in env if each.startswith("ONLY_")] == [f"ONLY_{number}=1"]


def test_cve_2024_25621_and_2021_41103_directories_are_private(lab: Lab, server: Server) -> None:
    lab.start()
    for top in (server.root, server.state):
        for path in (top, *(each for each in top.iterdir() if each.is_dir())):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or not others_enter(top), path


def others_enter(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o011)


def test_cve_2020_15257_no_socket_is_abstract(lab: Lab, server: Server) -> None:
    lab.start()
    ours: set[str] = set()
    assert server.process is not None
    for pid in (server.process.pid, *server.processes()):
        ours |= sockets(pid)
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    assert [line[7] for line in lines if line[6] in ours and len(line) > 7 and line[7].startswith("@")] == []


def sockets(pid: int) -> set[str]:
    """Inodes of a process's sockets."""
    links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    return {link[8:-1] for link in links if link.startswith("socket:")}


# Cgroups, mappings and relabelling


def test_cve_2023_25809_the_cgroup_tree_is_the_containers_own_and_read_only(lab: Lab) -> None:
    container_id = lab.start()
    assert {"type": "cgroup"} in lab.spec(container_id)["linux"]["namespaces"]
    paths = {line.split(":", 2)[2] for line in lab.sh(container_id, "cat /proc/self/cgroup").splitlines()}
    assert all(path == "/" or path.startswith("/exec-") for path in paths), "an exec has a leaf of its own"
    # On v1 each controller has a directory, on v2 the top is the cgroup itself.
    script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do test -e $d/cgroup.procs && mkdir $d/made && echo MADE; done"
    words = lab.sh(container_id, script)
    assert "Read-only" in words and "MADE" not in words


def test_cve_2021_43784_no_mapping_is_longer_than_what_the_kernel_takes(lab: Lab, tmp_path: Path) -> None:
    mappings = [pb.IDMapping(host_id=number, container_id=number, length=1) for number in range(10000)]
    mounts = [pb.Mount(host_path=str(tmp_path), container_path="/x", uidMappings=mappings, gidMappings=mappings)]
    assert "apping" in lab.refused(mounts=mounts)


def test_cve_2021_43816_files_of_the_host_keep_their_labels(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("of the host\n")
    before = labels(tmp_path / "hosts")
    mounts = [pb.Mount(host_path=f"{tmp_path}/hosts", container_path="/etc/hosts", selinux_relabel=True)]
    assert lab.sh(lab.start(mounts=mounts), "cat /etc/hosts") == "of the host\n"
    assert labels(tmp_path / "hosts") == before


def labels(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


# Monitors, and what fills memory and disks


def test_cve_2019_14891_the_monitor_is_not_in_the_pods_cgroup(lab: Lab, server: Server) -> None:
    limits = pb.LinuxContainerConfig(resources=pb.LinuxContainerResources(memory_limit_in_bytes=16 << 20))
    container_id = lab.start("sh", "-c", "sleep 1; x=x; while :; do x=$x$x; done", linux=limits)
    request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
    info = json.loads(lab.client("ContainerStatus", request).info["info"])
    monitor = next(
        int(line.split()[1])
        for line in Path(f"/proc/{info['pid']}/status").read_text().splitlines()
        if line.startswith("PPid:")
    )
    parent = cgroup_names.directory(info["cgroupsPath"]).rpartition("/")[0]
    assert monitor in server.processes() and parent not in Path(f"/proc/{monitor}/cgroup").read_text()
    until(lambda: cri.status(lab.client, container_id).state == EXITED)
    status = cri.status(lab.client, container_id)
    assert (status.reason, status.exit_code) == ("OOMKilled", 137)


def test_cve_2022_1708_and_2022_31030_what_an_exec_prints_is_bounded(lab: Lab, server: Server) -> None:
    container_id = lab.start()
    assert server.process is not None
    before = resident(server.process.pid)
    script = "yes | head -c 200000000; yes error | head -c 200000000 >&2"
    request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", script], timeout=100)
    answer = lab.client("ExecSync", request, timeout=120)
    assert 15 << 20 < len(answer.stdout) + len(answer.stderr) < 16 << 20
    assert len(answer.stdout) > 7 << 20 and len(answer.stderr) > 7 << 20
    assert resident(server.process.pid) - before < 200 << 20


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens by itself within seconds."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
