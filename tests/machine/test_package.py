"""The Debian package on a machine: under running pods restarted, killed, upgraded, downgraded; and purged."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.test_docs import DOCS, blocks
from tests.machine.conftest import SOCKET, Packages, run
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.crictl import binary
from tests.support.images import busybox_tree, image, write_archive
from tests.support.server import Client

PODS = 20
ROUNDS = 10
IMAGE = "localhost/writer:latest"
LINE = re.compile(r"^\S+ stdout F line (\d+)$", re.MULTILINE)
WRITE = "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.1; done"


def wait_until(true: Callable[[], bool], what: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}:\n{journal()}"
        time.sleep(0.2)


def journal() -> str:
    return run("journalctl", "--unit=criserver", "--lines=40", "--no-pager", check=False).stdout


def show(key: str) -> str:
    return run("systemctl", "show", "criserver", f"--property={key}", "--value").stdout.strip()


def answers(client: Client) -> bool:
    try:
        client("Version", pb.VersionRequest(), timeout=20)
    except grpc.RpcError:
        return False
    return True


@pytest.fixture(scope="module", autouse=True)
def installed(packages: Packages) -> Iterator[None]:
    """The page about installing, as its reader would follow it; at the end nothing may be left."""
    os.chdir(packages.old.parent)
    for page in ("install.md", "service.md"):
        for kind, text in blocks(DOCS / page):
            if kind == "machine":
                script = text.replace("./criserver_*.deb", str(packages.old))
                run("bash", "-c", f"set -ex\nPATH=$PATH:{Path(binary()).parent}\n{script}")
    yield
    run("apt-get", "purge", "-y", "criserver", check=False)


@dataclass(frozen=True)
class Writers:
    """Pods that write a line every 100 ms, by container id with their logs."""

    logs: dict[str, Path]

    def check(self, client: Client) -> int:
        """Every container runs, for the first time, and its log has no hole; the number of lines."""
        total = 0
        for container, log in self.logs.items():
            status = cri.status(client, container)
            assert status.state == pb.CONTAINER_RUNNING, status
            assert status.metadata.attempt == 0
            numbers = [int(number) for number in LINE.findall(log.read_text())]
            assert numbers == list(range(len(numbers))), f"{log}: a line is missing"
            total += len(numbers)
        return total


@pytest.fixture(scope="module")
def writers(client: Client, installed: None, tmp_path_factory: pytest.TempPathFactory) -> Writers:
    base = tmp_path_factory.mktemp("writers")
    file = write_archive(base / "writer.tar", {IMAGE: image(busybox_tree(), config={"Cmd": ["sh"]})})
    run("criserver", "load", file)
    logs: dict[str, Path] = {}
    for number in range(PODS):
        directory = base / f"pod{number}"
        directory.mkdir()
        config = pod_config(f"writer{number}", directory)
        pod = cri.run(client, config, timeout=300)
        container = cri.create(
            client, pod, container_config("c", "sh", "-c", WRITE, image=IMAGE), config, timeout=300
        )
        cri.start(client, container)
        logs[container] = directory / "c.log"
    return Writers(logs)


def test_the_service_is_ready_and_watched(client: Client) -> None:
    assert show("ActiveState") == "active"
    assert show("StatusText") == f"serving {SOCKET}"
    assert show("WatchdogUSec") not in ("", "0", "infinity")
    assert answers(client)
    assert run("systemctl", "is-enabled", "criserver").stdout.strip() == "enabled"
    verified = run("systemd-analyze", "verify", "--man=no", "criserver.service", check=False)
    assert "criserver.service" not in verified.stderr, verified.stderr


def test_restarts_leave_containers_alone(client: Client, writers: Writers) -> None:
    before = writers.check(client)
    for _ in range(ROUNDS):
        run("systemctl", "restart", "criserver")
        assert answers(client)
    assert writers.check(client) > before


def test_kills_leave_containers_alone(client: Client, writers: Writers) -> None:
    for _ in range(ROUNDS):
        pid = int(show("MainPID"))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: show("MainPID") not in ("0", str(pid)) and answers(client), "the server to be back")  # type: ignore[misc]
    run("systemctl", "reset-failed", "criserver")
    writers.check(client)


def test_an_upgrade_and_a_downgrade_leave_containers_alone(
    client: Client, packages: Packages, writers: Writers
) -> None:
    versions = []
    for package in (packages.new, packages.old):
        run("apt-get", "install", "-y", "--allow-downgrades", str(package))
        wait_until(lambda: answers(client), "the server to be back")
        versions.append(run("criserver", "version").stdout.strip())
        writers.check(client)
    assert versions[0] == f"{versions[1]}.post1"


def test_the_server_hangs_and_is_started_anew(client: Client, writers: Writers) -> None:
    pid = int(show("MainPID"))
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: show("MainPID") not in ("0", str(pid)) and answers(client), "the watchdog", 600)
    writers.check(client)


def left() -> list[str]:
    """What of a server is on this machine."""
    found = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if "criserver" in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "/run/criserver" in command or "/usr/lib/criserver" in command:
                found.append(f"process {entry.name}: {command}")
    found += [str(path) for path in Path("/sys/fs/cgroup").rglob("*criserver*") if path.is_dir()]
    found += [path for path in ("/run/criserver", "/var/lib/criserver", "/etc/criserver") if os.path.exists(path)]
    units = run("systemctl", "list-units", "--all", "--plain", "--no-legend", "*criserver*", "cri-*", "crio-*").stdout
    return found + units.splitlines()


def test_a_removal_takes_the_pods_and_keeps_images(client: Client, writers: Writers) -> None:
    run("apt-get", "remove", "-y", "criserver")
    assert not [each for each in left() if not each.startswith(("/var/lib", "/etc"))], journal()
    assert os.path.exists("/var/lib/criserver/criserver.db")
    assert os.path.exists("/etc/criserver/config.yaml")


def test_a_purge_leaves_nothing() -> None:
    run("apt-get", "purge", "-y", "criserver")
    assert left() == []
