"""What the configuration says of containers, seen from inside them, with each runtime as the one that auto takes."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.model import cgroup_names
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.critest import private
from tests.support.server import Client, Server

numbers = itertools.count()
DISK = next((str(path) for path in sorted(Path("/dev").glob("[vsn]*")) if path.is_block_device()), "")
BASE = {
    "process": {"env": ["FROM_BASE=yes"], "rlimits": [{"type": "RLIMIT_CORE", "soft": 7, "hard": 7}]},
    "linux": {"resources": {"pids": {"limit": 55}}, "sysctl": {"net.ipv4.ip_forward": "0"}},
    "mounts": [{"destination": "/from-base", "type": "tmpfs", "source": "tmpfs", "options": ["size=4k"]}],
}
SECCOMP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
}


@pytest.fixture(scope="module", params=["runc", "crun"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    """A server that says much of its containers; without crun's file, auto takes runc."""
    base: Path = tmp_path_factory.mktemp("configured")
    (base / "zone").write_bytes(b"TZif")
    (base / "given").mkdir()
    (base / "given/file").write_text("of the host\n")
    (base / "base.json").write_text(json.dumps(BASE))
    (base / "seccomp.json").write_text(json.dumps(SECCOMP))
    special = {
        "path": request.param,
        "type": request.param,
        "root": str(base / "special"),
        "annotations": ["org.example.exact", "org.example.many/*"],
        "base_spec": str(base / "base.json"),
        "seccomp_profile": str(base / "seccomp.json"),
        "privileged_without_host_devices": True,
        "minimum_memory": 64 << 20,
    }
    crun = {} if request.param == "crun" else {"crun": {"path": "/nonexistent/crun"}}
    runtime = {
        "handlers": {"special": special, **crun},
        "default_env": ["FROM=configuration", "ONLY=configuration"],
        "default_ulimits": ["nofile=111:222"],
        "default_mounts": [f"{base}/given:/given:ro"],
        "default_sysctls": ["net.ipv4.ip_local_port_range=2000 3000", "kernel.msgmax=4444"],
        "default_capabilities": ["CHOWN", "KILL"],
        "timezone": "Local",
        "umask": "0027",
        "shm_size": 1 << 20,
        **({"block_io_classes": {"slow": {"read_bps": [f"{DISK} 5M"]}}} if DISK else {}),
    }
    with serving(base / "server", {"image": pulling, "runtime": runtime}, wrapper=private()) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


def test_read_only_roots(base: Path, pulling: Mapping[str, str]) -> None:
    with serving(base / "read-only", {"image": pulling, "runtime": {"read_only": True}}) as running:
        with running.client() as client:
            cri.pull(client)
            words = inside(client, "touch /x; for d in /run /tmp /var/tmp; do touch $d/x && echo wrote; done")
    assert "Read-only" in words and words.count("wrote") == 3


def inside(client: Client, script: str, *, handler: str = "", privileged: bool = False, **fields: object) -> str:
    """What a shell script writes in a container of its own pod."""
    pod = pod_config(f"p{next(numbers)}")
    pod.annotations.update({"org.example.exact": "pod"})
    pod.linux.security_context.privileged = privileged
    pod_id = cri.run(client, pod, handler=handler)
    try:
        wish = container_config("main", "sleep", "1000")
        wish.linux.security_context.privileged = privileged
        wish.MergeFrom(pb.ContainerConfig(**fields))  # type: ignore[arg-type]
        container_id = cri.create(client, pod_id, wish, pod)
        cri.start(client, container_id)
        request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", script], timeout=20)
        answer = client("ExecSync", request)
        return str((answer.stdout + answer.stderr).decode().rstrip("\n"))
    finally:
        cri.remove_pod(client, pod_id)


def test_auto_says_which_it_takes(server: Server, client: Client, request: pytest.FixtureRequest) -> None:
    taken = str(request.node.callspec.params["server"])
    answer = client("Status", pb.StatusRequest(verbose=True))
    said = json.loads(answer.info["runtime"])
    because = "it works on this host" if taken == "crun" else "crun is not installed"
    assert said == {"defaultHandler": taken, "because": because}
    assert f"the default runtime handler is {taken}: {because}" in server.log.read_text()
    names = [each.name for each in answer.runtime_handlers]
    assert names[:2] == ["", taken] and "special" in names


def test_environment_limits_umask_capabilities_and_sysctls(client: Client) -> None:
    words = inside(
        client,
        "echo $FROM $ONLY; ulimit -Sn; ulimit -Hn; grep -h Umask /proc/1/status /proc/self/status;"
        "grep CapEff /proc/self/status;"
        "cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/msgmax; df -k /dev/shm | tail -n1",
    ).splitlines()
    assert words[:3] == ["image configuration", "111", "222"]
    assert words[3:5] == ["Umask:\t0027"] * 2, "the container's own, and that of the exec"
    assert int(words[5].split()[1], 16) == 1 << 0 | 1 << 5
    assert words[6].split() == ["2000", "3000"] and words[7] == "4444"
    assert words[8].split()[1] == "1024"


def test_mounts_and_time_zone(client: Client) -> None:
    assert inside(client, "cat /given/file; touch /given/x").splitlines()[0] == "of the host"
    assert "Read-only" in inside(client, "touch /given/x")
    words = inside(client, "grep ' /etc/localtime ' /proc/self/mountinfo; wc -c < /etc/localtime")
    assert words.splitlines()[-1] == str(len(Path("/etc/localtime").resolve().read_bytes()))


def test_the_request_counts_more(client: Client) -> None:
    envs = [pb.KeyValue(key="ONLY", value=b"request")]
    assert inside(client, "echo $ONLY", envs=envs) == "request"


def test_a_base_document(client: Client) -> None:
    words = inside(client, "echo $FROM_BASE; ulimit -Hc; df /from-base | tail -n1; ulimit -Hn", handler="special")
    lines = words.splitlines()
    assert lines[0] == "yes" and lines[1] in ("7", "0") and lines[2].startswith("tmpfs") and lines[3] == "222"


def test_the_handlers_seccomp_profile_is_runtime_default(client: Client) -> None:
    default = pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault)
    linux = pb.LinuxContainerConfig(security_context=pb.LinuxContainerSecurityContext(seccomp=default))
    assert "not supported" in inside(client, "mkdir /tmp/x", handler="special", linux=linux)
    assert inside(client, "mkdir /tmp/x", handler="special") == ""
    assert inside(client, "mkdir /tmp/x", linux=linux) == ""


def test_privileged_without_the_hosts_devices(client: Client) -> None:
    assert "fuse" not in inside(client, "ls /dev", handler="special", privileged=True)
    assert "fuse" in inside(client, "ls /dev", privileged=True)


def test_annotations_of_the_allow_list(server: Server, client: Client) -> None:
    pod = pod_config("annotated")
    given = {"org.example.exact": "pod", "org.example.exactly": "no", "org.example.many/x": "pod", "other": "no"}
    pod.annotations.update(given)
    pod_id = cri.run(client, pod, handler="special")
    wish = container_config("main", "sleep", "1000")
    wish.annotations.update({"org.example.many/x": "container"})
    container_id = cri.create(client, pod_id, wish, pod)
    (bundle,) = server.state.glob(f"**/{container_id}/config.json")
    document = json.loads(bundle.read_text())
    ours = ("io.kube", "run.oci.systemd.")  # the second for crun's scopes alone
    assert {key: value for key, value in document["annotations"].items() if not key.startswith(ours)} == {
        "org.example.exact": "pod",
        "org.example.many/x": "container",
    }
    assert list((server.base.parent / "special").glob(container_id)), "its root is the configured one"
    cri.remove_pod(client, pod_id)
    assert not list((server.base.parent / "special").glob(container_id))


@pytest.mark.skipif(not DISK, reason="this machine has no disk in /dev")
def test_a_class_of_block_devices(client: Client) -> None:
    pod = pod_config("slow")
    pod.annotations["blockio.resources.beta.kubernetes.io/pod"] = "slow"
    pod_id = cri.run(client, pod)
    container_id = cri.create(client, pod_id, container_config("main", "sleep", "1000"), pod)
    answer = client("ContainerStatus", pb.ContainerStatusRequest(container_id=container_id, verbose=True))
    path = cgroup_names.directory(json.loads(answer.info["info"])["cgroupsPath"])
    files = [f"/sys/fs/cgroup/blkio{path}/blkio.throttle.read_bps_device", f"/sys/fs/cgroup{path}/io.max"]
    (text,) = [Path(file).read_text() for file in files if Path(file).exists()]
    status = Path(DISK).stat().st_rdev
    assert re.match(rf"{os.major(status)}:{os.minor(status)} (rbps=)?5000000", text)
    cri.remove_pod(client, pod_id)
    pod.annotations["blockio.resources.beta.kubernetes.io/pod"] = "fast"
    pod_id = cri.run(client, pod)
    with pytest.raises(grpc.RpcError, match="no class 'fast'; it has: slow"):
        cri.create(client, pod_id, container_config("main", "sleep", "1000"), pod)
    cri.remove_pod(client, pod_id)


def test_a_limit_that_nothing_starts_with_is_refused(client: Client) -> None:
    pod = pod_config("tiny")
    for handler, least in (("special", 64 << 20), ("", 0)):
        pod_id = cri.run(client, pod, handler=handler)
        wish = container_config("main", "sleep", "1000")
        wish.linux.resources.memory_limit_in_bytes = 400 << 10
        with pytest.raises(grpc.RpcError) as caught:
            cri.create(client, pod_id, wish, pod)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert re.search(f"too low to start a container; give at least {least or ''}", str(caught.value.details()))
        cri.remove_pod(client, pod_id)
