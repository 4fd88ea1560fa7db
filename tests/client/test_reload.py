"""What a reload takes up: the next pod and the next container have it, and those that live keep what they have.

Every live key of `runtime` has a case here, and a test that fails when one has none.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from criserver.api.pb import api_pb2 as pb
from criserver.config.schema import Handler, RuntimeConfig
from tests.client.conftest import serving
from tests.client.test_configured import DISK, inside
from tests.client.test_service import command, configure, listening
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.critest import private
from tests.support.server import Client, Server

RUNTIME_DEFAULT = pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault)
PIDS = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"
FILES = {
    "given/file": "of the host",
    "base.json": json.dumps({"process": {"env": ["OF_DOCUMENT=yes"]}}),
    "seccomp.json": json.dumps({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    }),
    "cdi/card.json": json.dumps({
        "cdiVersion": "1.0.0",
        "kind": "vendor.com/card",
        "devices": [{"name": "null", "containerEdits": {"env": ["CARD=yes"]}}],
    }),
    "hooks/mark.json": json.dumps({
        "version": "1.0.0",
        "hook": {"path": "BASE/hook", "args": ["hook"]},
        "when": {"always": True},
        "stages": ["createRuntime"],
    }),
    "hook": "#!/bin/sh\ncat >/dev/null\ntouch BASE/given/hooked\n",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A key with a new value, and what a script in a container shows before and after it; BASE is the files' place."""

    key: str
    value: object
    script: str
    before: str
    after: str
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    privileged: bool = False


def linux(**security: Any) -> dict[str, Any]:
    return {"linux": pb.LinuxContainerConfig(security_context=pb.LinuxContainerSecurityContext(**security))}


def limited(memory: int) -> dict[str, Any]:
    return {"linux": pb.LinuxContainerConfig(resources=pb.LinuxContainerResources(memory_limit_in_bytes=memory))}


CASES = [
    Case("umask", "0077", "umask; grep Umask /proc/1/status", "0022\nUmask:\t0022", "0077\nUmask:\t0077"),
    Case("default_env", ["NEW=yes"], "echo .$NEW.", "..", ".yes."),
    Case("default_ulimits", ["core=3:3"], "grep 'core file' /proc/1/limits | tr -s ' ' | cut -d ' ' -f 5", "*", "3"),
    Case("default_mounts", ["BASE/given:/given:ro"], "cat /given/file 2>/dev/null; true", "", "of the host"),
    Case("default_sysctls", ["kernel.msgmax=4321"], "cat /proc/sys/kernel/msgmax", "8192", "4321"),
    Case("default_capabilities", ["KILL"], "grep CapBnd /proc/1/status | cut -f 2", "*", f"{1 << 5:016x}"),
    Case("timezone", "Local", "grep -c ' /etc/localtime ' /proc/self/mountinfo; true", "0", "1"),
    Case("read_only", True, "touch /x 2>/dev/null && echo written || echo refused", "written", "refused"),
    Case("pids_limit", 77, PIDS, "*", "77"),
    Case("shm_size", 1 << 20, "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2", "65536", "1024"),
    Case(
        "device_ownership_from_security_context", True, "stat -c %u /dev/mine", "0", "1234",
        {"devices": [pb.Device(host_path="/dev/null", container_path="/dev/mine", permissions="r")],
         **linux(run_as_user=pb.Int64Value(value=1234))},
    ),
    Case("cdi_spec_dirs", ["BASE/cdi"], "echo $CARD", "refused: .*no file of this node describes them", "yes",
         {"CDI_devices": [pb.CDIDevice(name="vendor.com/card=null")]}),
    Case("handlers.seccomp_profile", "BASE/seccomp.json", "mkdir /tmp/x 2>/dev/null && echo made || echo refused",
         "made", "refused", linux(seccomp=RUNTIME_DEFAULT)),
    Case("handlers.privileged_without_host_devices", True, "ls -d /dev/fuse 2>/dev/null; true", "/dev/fuse", "",
         privileged=True),
    Case("handlers.minimum_memory", 64 << 20, "echo started", "started", f"refused: .*give at least {64 << 20}",
         limited(32 << 20)),
    Case("handlers.base_spec", "BASE/base.json", "echo .$OF_DOCUMENT.", "..", ".yes."),
]  # fmt: skip
IN_TESTS_OF_THEIR_OWN = {"hooks_dirs", "handlers.annotations", "block_io_classes"}


@pytest.fixture(scope="module", params=["runc", "crun"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    """A server that says nothing of its containers; all that a reload adds goes to the default handler."""
    base: Path = tmp_path_factory.mktemp("reload")
    for name, text in FILES.items():
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text(text.replace("BASE", str(base)))
    (base / "hook").chmod(0o755)
    config = {"image": pulling, "runtime": {"default_handler": request.param, "hooks_dirs": [], "cdi_spec_dirs": []}}
    with serving(base / "server", config, wrapper=private()) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture
def handler(server: Server) -> str:
    return str(server.config["runtime"]["default_handler"])


@pytest.fixture(autouse=True)
def _as_before(server: Server) -> Iterator[None]:
    """After each test the configuration is the first one."""
    yield
    configure(server, "")
    command(server, "reload", listening(server))


def reload(server: Server, handler: str, key: str, value: object) -> str:
    """Configure a key of `runtime`, or of the handler, and reload; what is told of it."""
    name = key.removeprefix("handlers.")
    section = {name: value} if name == key else {"handlers": {handler: {name: value}}}
    text = yaml.safe_dump({"runtime": section}).replace("BASE", str(server.base.parent))
    configure(server, text)
    done = command(server, "reload", listening(server))
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(client: Client, case: Case) -> str:
    """What the script shows in a new pod, or the words of a refusal."""
    try:
        return inside(client, case.script, privileged=case.privileged, **case.fields)
    except grpc.RpcError as error:
        return f"refused: {error.details()}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_new_ones_have_it(server: Server, client: Client, handler: str, case: Case) -> None:
    before = shown(client, case)
    assert case.before == "*" or re.fullmatch(case.before, before)
    told = reload(server, handler, case.key, case.value)
    key = case.key.replace("handlers.", f"handlers.{handler}.")
    assert told.startswith(f"runtime.{key}: ") and "after a restart" not in told
    assert re.fullmatch(case.after, shown(client, case))


def test_hooks_of_another_directory(server: Server, client: Client, handler: str) -> None:
    mark = server.base.parent / "given/hooked"
    inside(client, "true")
    assert not mark.exists()
    reload(server, handler, "hooks_dirs", ["BASE/hooks"])
    inside(client, "true")
    mark.unlink()


def test_annotations_of_a_longer_list(server: Server, client: Client, handler: str) -> None:
    pod = pod_config("annotated")
    pod.annotations["org.example.exact"] = "pod"
    pod_id = cri.run(client, pod)

    def annotations(name: str) -> Mapping[str, str]:
        container_id = cri.create(client, pod_id, container_config(name, "true"), pod)
        request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
        document = json.loads(client("ContainerStatus", request).info["info"])["runtimeSpec"]
        return dict(document["annotations"])

    assert "org.example.exact" not in annotations("before")
    reload(server, handler, "handlers.annotations", ["org.example.exact"])
    assert annotations("after")["org.example.exact"] == "pod", "containers of a pod that was there, too"
    cri.remove_pod(client, pod_id)


@pytest.mark.skipif(not DISK, reason="this machine has no disk in /dev")
def test_another_class_of_block_devices(server: Server, client: Client, handler: str) -> None:
    annotations = {"io.kubernetes.cri.blockio-class": "slow"}
    with pytest.raises(grpc.RpcError, match="no class 'slow'"):
        inside(client, "true", annotations=annotations)
    reload(server, handler, "block_io_classes", {"slow": {"read_bps": [f"{DISK} 5M"]}})
    inside(client, "true", annotations=annotations)


def test_every_live_key_has_a_test() -> None:
    live = {each.name for each in dataclasses.fields(RuntimeConfig) if each.metadata.get("live")}
    live |= {f"handlers.{each.name}" for each in dataclasses.fields(Handler) if each.metadata["live"]}
    assert live == {case.key for case in CASES} | IN_TESTS_OF_THEIR_OWN


def test_what_lives_keeps_what_it_has(server: Server, client: Client, handler: str) -> None:
    pod = pod_config("living")
    pod_id = cri.run(client, pod)
    container_id = cri.create(client, pod_id, container_config("main", "sleep", "1000"), pod)
    cri.start(client, container_id)
    reload(server, handler, "umask", "0077")
    request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", "umask"], timeout=20)
    assert client("ExecSync", request).stdout == b"0022\n"
    cri.remove_pod(client, pod_id)


def test_a_file_that_cannot_be_used_changes_nothing(server: Server, client: Client, handler: str) -> None:
    (server.base.parent / "wrong.json").write_text("[")
    value = {"umask": "0077", "handlers": {handler: {"base_spec": f"{server.base.parent}/wrong.json"}}}
    configure(server, yaml.safe_dump({"runtime": value}))
    refused = command(server, "reload", listening(server))
    assert refused.returncode == 1
    assert f"runtime.handlers.{handler}.base_spec: {server.base.parent}/wrong.json cannot be used" in refused.stderr
    assert inside(client, "umask") == "0022"


def test_the_status_tells_what_is_in_force(server: Server, client: Client, handler: str) -> None:
    reload(server, handler, "umask", "0077")
    config = json.loads(client("Status", pb.StatusRequest(verbose=True)).info["config"])
    assert config["runtime"]["umask"] == "0077"
