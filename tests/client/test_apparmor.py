"""AppArmor where the kernel has it: critest's group, and what the server's own profile keeps from a container."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.drivers.host import apparmor
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.critest import Critest
from tests.support.server import Client, Server

pytestmark = pytest.mark.skipif(
    not apparmor.enabled(), reason="this kernel has no AppArmor, or it is off: hack/vm has a machine where it is on"
)
Profile = pb.SecurityProfile


@pytest.fixture(scope="module", params=["runc", "crun"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    config = {"image": pulling, "runtime": {"default_handler": request.param}}
    with serving(tmp_path_factory.mktemp("server"), config) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture
def pod(server: Server) -> Iterator[str]:
    with server.client() as client:
        pod_id = cri.run(client, pod_config("armored"))
    yield pod_id
    with server.client() as client:
        cri.remove_pod(client, pod_id)


def start(client: Client, pod_id: str, profile: pb.SecurityProfile | None, *capabilities: str) -> str:
    wish = container_config("main", "sleep", "1000")
    if profile is not None:
        wish.linux.security_context.apparmor.CopyFrom(profile)
    wish.linux.security_context.capabilities.add_capabilities.extend(capabilities)
    container_id = cri.create(client, pod_id, wish, pb.PodSandboxConfig())
    cri.start(client, container_id)
    return container_id


def run(client: Client, container_id: str, script: str) -> tuple[int, str]:
    request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", script], timeout=60)
    answer = client("ExecSync", request)
    return answer.exit_code, (answer.stdout + answer.stderr).decode().strip()


@pytest.mark.parametrize("profile", [None, Profile(profile_type=Profile.RuntimeDefault)], ids=["none", "default"])
def test_the_servers_profile(client: Client, pod: str, profile: pb.SecurityProfile | None) -> None:
    container_id = start(client, pod, profile, "SYS_ADMIN")
    assert run(client, container_id, "cat /proc/self/attr/current") == (0, "criserver-default (enforce)")
    code, said = run(client, container_id, "mkdir /m && mount -t tmpfs none /m")
    assert code != 0 and "denied" in said.lower()
    for path in ("/proc/sysrq-trigger", "/sys/kernel/uevent_helper"):
        assert run(client, container_id, f"echo x >{path}")[0] != 0
    assert run(client, container_id, "echo 3 >/f && cat /f && sleep 100 & kill %1 || kill $!")[0] == 0
    client("StopContainer", pb.StopContainerRequest(container_id=container_id, timeout=0))
    assert cri.status(client, container_id).exit_code == 137


def test_unconfined(client: Client, pod: str) -> None:
    container_id = start(client, pod, Profile(profile_type=Profile.Unconfined), "SYS_ADMIN")
    assert run(client, container_id, "cat /proc/self/attr/current") == (0, "unconfined")
    assert run(client, container_id, "mkdir /m && mount -t tmpfs none /m") == (0, "")


def test_a_profile_loaded_while_the_server_runs(client: Client, pod: str, tmp_path: Path) -> None:
    local = Profile(profile_type=Profile.Localhost, localhost_ref="localhost/criserver-test-deny-write")
    with pytest.raises(grpc.RpcError) as caught:
        start(client, pod, local)
    assert "profile 'criserver-test-deny-write' is not loaded on this host" in str(caught.value.details())
    text = tmp_path / "profile"
    text.write_text("profile criserver-test-deny-write {\n  file,\n  signal,\n  deny /denied w,\n}\n")
    subprocess.run(["apparmor_parser", "--replace", str(text)], check=True)
    try:
        container_id = start(client, pod, local)
        assert run(client, container_id, "echo x >/given")[0] == 0
        assert run(client, container_id, "echo x >/denied")[0] != 0
        client("StopContainer", pb.StopContainerRequest(container_id=container_id, timeout=0))
    finally:
        subprocess.run(["apparmor_parser", "--remove", str(text)], check=True)


def test_critest(server: Server, critest: Critest) -> None:
    outcome = critest.run(server, [r"\[k8s.io\] AppArmor"], seconds=150)
    assert not outcome.failed, outcome.told()
    assert not outcome.skipped
    assert outcome.passed
