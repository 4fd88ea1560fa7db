"""What few kubelets ask for and critest does not look at closely, in real containers of both runtimes."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.client.test_takes_effect import Pod, security, until
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.critest import private
from tests.support.images import busybox_tree, file, image
from tests.support.registry import Registry
from tests.support.server import Client, Server

POD, NODE, TARGET = pb.NamespaceMode.POD, pb.NamespaceMode.NODE, pb.NamespaceMode.TARGET
V1 = Path("/sys/fs/cgroup/memory").is_dir()
GROUPS = "root:x:0:\nwww-data:x:33:\nusers:x:100:someone,www-data\n"
USERS = {"name": "www-data", "uid": "33", "both": "33:100", "named": "www-data:users", "unknown": "4242"}
numbers = itertools.count()


@pytest.fixture(scope="module", params=["runc", "crun"])
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    registry: Registry,
    pulling: Mapping[str, str],
) -> Iterator[Server]:
    """A server with one of Debian's runtimes, in a mount namespace of its own whose mounts are shared with nobody."""
    base = tmp_path_factory.mktemp("asked")
    (base / "shared").mkdir()
    config = {"image": pulling, "runtime": {"default_handler": request.param}}
    with serving(base / "server", config, wrapper=private()) as running:
        with running.client() as client:
            cri.pull(client)
            for name, user in USERS.items():
                made = image(busybox_tree(), {"etc/group": file(GROUPS)}, config={"Env": ["PATH=/bin"], "User": user})
                registry.push(f"asked/{name}", made, "1")
                cri.pull(client, f"docker.io/asked/{name}:1")
        yield running


@pytest.fixture
def run(client: Client, logs: Path) -> Iterator[Callable[..., Pod]]:
    """Makes pods, which are removed in the end."""
    made: list[str] = []

    def make(config: pb.PodSandboxConfig | None = None) -> Pod:
        config = config or pod_config(f"pod{next(numbers)}", logs)
        made.append(cri.run(client, config))
        return Pod(client, config, made[-1])

    yield make
    for pod_id in made:
        cri.remove_pod(client, pod_id)


@pytest.fixture
def pod(run: Callable[..., Pod]) -> Pod:
    return run()


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), str(caught.value.details())


# Who


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("name", "33 33 33 100"),
        ("uid", "33 33 33 100"),
        ("both", "33 100 100"),
        ("named", "33 100 100"),
        ("unknown", "4242 0 0"),
    ],
)
def test_user_of_the_image(pod: Pod, name: str, shown: str) -> None:
    wish = pb.ImageSpec(image=f"docker.io/asked/{name}:1")
    assert pod.output("sh", "-c", "echo $(id -u) $(id -g) $(id -G)", image=wish) == shown


def test_groups_of_the_request_strict_or_with_those_of_the_image(pod: Pod) -> None:
    script = ("sh", "-c", "id -G | tr ' ' '\\n' | sort -n | xargs")
    linux = security(run_as_username="www-data", supplemental_groups=[7])
    wish = pb.ImageSpec(image="docker.io/asked/name:1")
    assert pod.output(*script, linux=linux, image=wish) == "7 33 100"
    linux.security_context.supplemental_groups_policy = pb.SupplementalGroupsPolicy.Strict
    assert pod.output(*script, linux=linux, image=wish) == "7 33"


def test_a_user_name_that_is_a_number(pod: Pod) -> None:
    wish = pb.ImageSpec(image="docker.io/asked/unknown:1")
    script = ("sh", "-c", "echo $(id -u) $(id -g) $(id -G)")
    assert pod.output(*script, linux=security(run_as_username="33"), image=wish) == "33 33 33 100"
    for name in ("4294967296", "-1", "33:0", "nobody-here"):
        code, words = refused(lambda name=name: pod.sleeping(linux=security(run_as_username=name)))  # type: ignore[misc]
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "run_as_username" in words
    code, words = refused(lambda: pod.sleeping(linux=security(run_as_group=pb.Int64Value(value=7))))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "run_as_group: 7 without run_as_user" in words


def test_capabilities_and_no_new_privileges(pod: Pod) -> None:
    capabilities = pb.Capability(drop_capabilities=["ALL"], add_capabilities=["NET_BIND_SERVICE", "CAP_CHOWN"])
    linux = security(capabilities=capabilities, no_new_privs=True)
    script = "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs):' /proc/self/status"
    values = [line.split()[1] for line in pod.output("sh", "-c", script, linux=linux).splitlines()]
    some = f"{1 << 10 | 1 << 0:016x}"
    assert values == ["0" * 16, some, some, some, "0" * 16, "1"]


def test_profiles_that_this_host_cannot_apply_are_refused(pod: Pod) -> None:
    profile = pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref="of-nobody")
    code, words = refused(lambda: pod.sleeping(linux=security(apparmor=profile)))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "apparmor: profile 'of-nobody'" in words
    profile = pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref="/no/such/profile.json")
    code, words = refused(lambda: pod.sleeping(linux=security(seccomp=profile)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "/no/such/profile.json" in words


# Namespaces


def test_another_containers_processes(pod: Pod, run: Callable[..., Pod]) -> None:
    target = pod.start(container_config("target", "sleep", "4321"))
    options = pb.NamespaceOption(pid=TARGET, target_id=target)
    words = pod.output("sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '", linux=security(namespace_options=options))
    assert "sleep 4321" in words
    options.target_id = "nobody"
    code, _ = refused(lambda: pod.sleeping(linux=security(namespace_options=options)))
    assert code is grpc.StatusCode.NOT_FOUND
    pod.client("StopContainer", pb.StopContainerRequest(container_id=target))
    options.target_id = target
    code, words = refused(lambda: pod.sleeping(linux=security(namespace_options=options)))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and f"container {target} is EXITED" in words
    other = run().sleeping()
    options.target_id = other
    code, words = refused(lambda: pod.sleeping(linux=security(namespace_options=options)))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "name a running container of this pod" in words


def test_ipc_of_the_node(run: Callable[..., Pod], logs: Path) -> None:
    config = pod_config("node-ipc", logs)
    config.linux.security_context.namespace_options.ipc = NODE
    pod = run(config)
    options = pb.NamespaceOption(pid=pb.NamespaceMode.CONTAINER, ipc=NODE)
    mine = pod.output("readlink", "/proc/self/ns/ipc", linux=security(namespace_options=options))
    assert mine == os.readlink("/proc/self/ns/ipc")
    config = pod_config("node-ipc-sysctl", logs)
    config.linux.security_context.namespace_options.ipc = NODE
    config.linux.sysctls["kernel.msgmax"] = "7777"
    code, words = refused(lambda: run(config))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "would change the node" in words


def test_sysctls(run: Callable[..., Pod], logs: Path) -> None:
    config = pod_config("sysctls", logs)
    config.linux.sysctls.update({"net.ipv4.ip_unprivileged_port_start": "81", "kernel.shm_rmid_forced": "1"})
    files = ["/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/shm_rmid_forced"]
    before = [Path(file).read_text() for file in files]
    assert run(config).output("cat", *files) == "81\n1"
    assert [Path(file).read_text() for file in files] == before, "the node's own"


# Mounts


def test_sources_behind_links_and_missing_ones(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("behind a link")
    (tmp_path / "link").symlink_to("real")
    mounts = [
        pb.Mount(host_path=f"{tmp_path}/link", container_path="/linked"),
        pb.Mount(host_path=f"{tmp_path}/made/here", container_path="/made"),
    ]
    container_id = pod.sleeping(mounts=mounts)
    assert pod.exec(container_id, "cat", "/linked/file") == "behind a link"
    pod.exec(container_id, "touch", "/made/x")
    assert (tmp_path / "made/here/x").exists()


def test_options_of_a_mount(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "run").chmod(0o755)
    mount = pb.Mount(host_path=str(tmp_path), container_path="/x", mount_options=["noexec", "nosuid"])
    container_id = pod.sleeping(mounts=[mount])
    line = pod.exec(container_id, "grep", " /x ", "/proc/self/mountinfo")
    assert "noexec" in line and "nosuid" in line
    assert "Permission denied" in pod.exec(container_id, "sh", "-c", "/x/run 2>&1; true")
    mount.mount_options.append("loud")
    code, words = refused(lambda: pod.sleeping(mounts=[mount]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "'loud'" in words


@contextlib.contextmanager
def mounted(server: Server, *argv: str) -> Iterator[None]:
    """A mount in the server's mount namespace; the last of `argv` is the target."""
    assert server.process is not None
    inside = ["nsenter", "-t", str(server.process.pid), "-m"]
    subprocess.run([*inside, "mount", *argv], check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "umount", "-l", argv[-1]], check=True)


def test_read_only_with_all_below_or_without(server: Server, pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    script = "for d in /x /x/below; do touch $d/file 2>/dev/null && echo written || echo refused; done"
    with mounted(server, "-t", "tmpfs", "below", f"{tmp_path}/below"):
        mount = pb.Mount(host_path=str(tmp_path), container_path="/x", readonly=True)
        assert pod.output("sh", "-c", script, mounts=[mount]).split() == ["refused", "written"]
        mount.recursive_read_only = True
        assert pod.output("sh", "-c", script, mounts=[mount]).split() == ["refused", "refused"]


def test_propagation_needs_a_mount_that_has_it(server: Server, pod: Pod, tmp_path: Path) -> None:
    both = pb.MountPropagation.PROPAGATION_BIDIRECTIONAL
    mount = pb.Mount(host_path=str(tmp_path), container_path="/x", propagation=both)
    code, words = refused(lambda: pod.sleeping(mounts=[mount]))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "make that mount shared" in words
    with mounted(server, "--bind", "--make-shared", str(tmp_path), str(tmp_path)):
        mount.propagation = pb.MountPropagation.PROPAGATION_HOST_TO_CONTAINER
        container_id = pod.sleeping(mounts=[mount])
        (tmp_path / "later").mkdir()
        with mounted(server, "-t", "tmpfs", "later", f"{tmp_path}/later"):
            assert pod.exec(container_id, "grep", "-c", " /x/later ", "/proc/self/mountinfo") == "1"
        pod.client("RemoveContainer", pb.RemoveContainerRequest(container_id=container_id))


# Devices and limits


def test_devices_by_permission_and_whole_directories(pod: Pod) -> None:
    device = pb.Device(host_path="/dev/zero", container_path="/dev/mine", permissions="r")
    container_id = pod.sleeping(devices=[device])
    assert pod.exec(container_id, "sh", "-c", "head -c 3 /dev/mine | wc -c") == "3"
    net = pb.Device(host_path="/dev/net", container_path="/dev/net", permissions="rwm")
    if Path("/dev/net/tun").exists():
        assert pod.output("ls", "/dev/net", devices=[net]) == "tun"
    code, words = refused(lambda: pod.sleeping(devices=[pb.Device(host_path="/dev/nowhere", permissions="r")]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "/dev/nowhere" in words


def limits(**more: object) -> pb.LinuxContainerConfig:
    return pb.LinuxContainerConfig(resources=pb.LinuxContainerResources(**more))  # type: ignore[arg-type]


def test_cpusets(pod: Pod) -> None:
    container_id = pod.sleeping(linux=limits(cpuset_cpus="0", cpuset_mems="0"))
    assert pod.exec(container_id, "grep", "Cpus_allowed_list", "/proc/1/status").split()[1] == "0"
    code, _ = refused(lambda: pod.sleeping(linux=limits(cpuset_cpus="0-")))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.skipif(not V1, reason="this host has cgroup v2, where unified is what it is for")
def test_unified_is_refused_on_cgroup_v1(pod: Pod) -> None:
    code, words = refused(lambda: pod.sleeping(linux=limits(unified={"memory.high": "1000000"})))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "needs cgroup v2" in words


@pytest.mark.skipif(V1, reason="this host has cgroup v1, where unified is refused")
def test_unified(pod: Pod) -> None:
    container_id = pod.sleeping(linux=limits(unified={"memory.high": str(48 << 20), "pids.max": "77"}))
    assert pod.exec(container_id, "cat", "/sys/fs/cgroup/memory.high", "/sys/fs/cgroup/pids.max") == f"{48 << 20}\n77"


def test_huge_pages_are_limited_or_refused(pod: Pod) -> None:
    pages = [pb.HugepageLimit(page_size="2MB", limit=8 << 20)]
    try:
        container_id = pod.sleeping(linux=limits(hugepage_limits=pages))
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "2MB: this host cannot limit huge pages of that size" in str(error.details())
        assert not list(Path("/sys/fs/cgroup").glob("hugetlb/hugetlb.2MB.*")) and V1, "nobody limits them here"
    else:
        files = "/sys/fs/cgroup/hugetlb/hugetlb.2MB.limit_in_bytes /sys/fs/cgroup/hugetlb.2MB.max"
        assert pod.exec(container_id, "sh", "-c", f"cat {files} 2>/dev/null; true") == str(8 << 20)
    pages[0].limit = 0
    pod.sleeping(linux=limits(hugepage_limits=pages))


# Life


def test_exec_while_it_ends_and_not_after(pod: Pod) -> None:
    script = "trap 'sleep 2; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    container_id = pod.start(container_config("ending", "sh", "-c", script))
    log = Path(cri.status(pod.client, container_id).log_path)
    until(lambda: "ready" in log.read_text())
    stop = pb.StopContainerRequest(container_id=container_id, timeout=30)
    stopping = threading.Thread(target=pod.client, args=("StopContainer", stop))
    stopping.start()
    assert pod.exec(container_id, "echo", "still here") == "still here"
    stopping.join(20)
    status = cri.status(pod.client, container_id)
    assert (status.exit_code, status.reason) == (3, "Error")
    code, words = refused(lambda: pod.exec(container_id, "true"))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "EXITED" in words


def test_attempts_of_one_name_live_side_by_side(pod: Pod) -> None:
    first = pod.start(container_config("main", "true", attempt=0))
    until(lambda: cri.status(pod.client, first).state == pb.ContainerState.CONTAINER_EXITED)
    second = pod.start(container_config("main", "sleep", "1000", attempt=1))
    assert [cri.status(pod.client, each).metadata.attempt for each in (first, second)] == [0, 1]
    assert cri.status(pod.client, first).reason == "Completed"
