"""The pod init of a pod that shares its PIDs, attacked from a container: with what containers have, and with more.

tests/root/conmon/test_podinit.py attacks it without a runtime, by ptrace as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.server import Client

POD = pb.NamespaceMode.POD
INSIDE = ("root", "cwd", "exe", "fd", "fdinfo", "environ", "maps", "smaps", "mem", "map_files", "auxv", "io", "syscall")


@dataclass
class Attacker:
    """A container beside a pod init."""

    client: Client
    id: str
    pod_init: int

    def sh(self, script: str) -> str:
        """What a shell writes, errors left out."""
        request = pb.ExecSyncRequest(container_id=self.id, cmd=["sh", "-c", f"{script}"], timeout=30)
        return str(self.client("ExecSync", request).stdout.decode())

    def errors(self, script: str) -> str:
        """The errors that a shell writes."""
        request = pb.ExecSyncRequest(container_id=self.id, cmd=["sh", "-c", f"{script}"], timeout=30)
        return str(self.client("ExecSync", request).stderr.decode())


def attackers(client: Client, logs: Path, *capabilities: str, uid: int = 0) -> Iterator[Attacker]:
    """One container of a new pod, with these capabilities added."""
    cri.pull(client)
    config = pod_config("attacked", logs)
    config.linux.security_context.namespace_options.pid = POD
    pod_id = cri.run(client, config)
    wish = container_config("attacker", "sleep", "1000")
    wish.linux.security_context.namespace_options.pid = POD
    wish.linux.security_context.capabilities.add_capabilities.extend(capabilities)
    wish.linux.security_context.run_as_user.value = uid
    container_id = cri.create(client, pod_id, wish, config)
    cri.start(client, container_id)
    yield Attacker(client, container_id, pod_init(pod_id))
    cri.remove_pod(client, pod_id)


def pod_init(pod_id: str) -> int:
    """Its pid on the host."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text() == "pod-init\n" and pod_id in (entry / "cgroup").read_text():
                    return int(entry.name)
            except OSError:
                continue
    raise AssertionError("there is no pod init")


@pytest.fixture(params=[0, 1000, 65535])
def attacker(request: pytest.FixtureRequest, client: Client, logs: Path) -> Iterator[Attacker]:
    """With what a container has when nobody asks for more; as root, as somebody, and as the pod init's own user."""
    yield from attackers(client, logs, uid=request.param)


@pytest.fixture
def tracer(client: Client, logs: Path) -> Iterator[Attacker]:
    """Root with the capability that /proc and ptrace ask for."""
    yield from attackers(client, logs, "SYS_PTRACE", "DAC_OVERRIDE", "DAC_READ_SEARCH", "KILL", "NET_ADMIN")


def test_it_is_pid_1_and_says_nothing_of_the_host(attacker: Attacker) -> None:
    assert attacker.sh("cat /proc/1/comm; tr -d '\\0' </proc/1/cmdline") == "pod-init\npod-init"


@pytest.mark.parametrize("name", INSIDE)
def test_nothing_of_it_is_read(attacker: Attacker, name: str) -> None:
    path = f"/proc/1/{name}"
    assert attacker.sh(f"ls {path}/ 2>/dev/null; head -c 100 {path} 2>/dev/null; readlink {path}") == ""
    assert attacker.sh(f"ls /proc/1/task/1/{name}/ 2>/dev/null; head -c 100 /proc/1/task/1/{name} 2>/dev/null") == ""


def test_none_of_its_namespaces_is_entered(attacker: Attacker) -> None:
    for kind in ("mnt", "net", "ipc", "uts", "pid", "user", "cgroup", "time"):
        assert attacker.sh(f"readlink /proc/1/ns/{kind}; nsenter --{kind}=/proc/1/ns/{kind} echo in 2>/dev/null") == ""


def test_nothing_of_it_is_changed(attacker: Attacker) -> None:
    for file in ("comm", "oom_score_adj", "mem", "environ", "coredump_filter", "timerslack_ns", "uid_map"):
        attacker.sh(f"echo 5 >/proc/1/{file}")
    assert Path(f"/proc/{attacker.pod_init}/comm").read_text() == "pod-init\n"


def test_no_signal_ends_or_stops_it(attacker: Attacker) -> None:
    attacker.sh("for signal in $(seq 1 64); do kill -$signal 1; done; kill -9 -1")
    state = Path(f"/proc/{attacker.pod_init}/stat").read_text().rpartition(") ")[2][0]
    assert state == "S"


def test_a_tracer_finds_an_empty_house(tracer: Attacker) -> None:
    assert tracer.sh("ls -A /proc/1/root/ /proc/1/cwd/ /proc/1/fd/ | grep -v :") in ("", "\n\n")
    tracer.sh("echo x >/proc/1/root/x; mkdir /proc/1/root/y; mknod /proc/1/root/z c 1 3; touch /proc/1/cwd/a")
    assert tracer.sh("ls -A /proc/1/root/") == ""
    assert "root:" not in tracer.sh("cat /proc/1/root/etc/passwd /proc/1/cwd/etc/passwd")
    assert tracer.sh("tr -d '\\0' </proc/1/environ") == ""
    assert tracer.sh("nsenter --mount=/proc/1/ns/mnt echo in; nsenter --net=/proc/1/ns/net echo in") == ""


def test_a_tracer_does_not_write_the_hosts_interpreter(tracer: Attacker) -> None:
    binary = Path(f"/proc/{tracer.pod_init}/exe").resolve()
    before = binary.stat()
    said = tracer.errors("echo x >>/proc/1/exe")
    assert "busy" in said or "denied" in said or "Read-only" in said, said
    after = binary.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)

