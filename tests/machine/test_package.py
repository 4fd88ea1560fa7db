"""The Debian package on a machine: under running pods restarted, killed, upgraded, downgraded; and purged.

Steps in their order, on one machine, each a test: `make test-package ARGS="tests/machine/test_package.py -k kill"`
tries one again on the machine that is still up. `journalctl --unit=criserver --grep=serving` in it says how long each
start took, and where.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.client.test_docs import DOCS, blocks
from tests.machine.conftest import SOCKET, Packages, answers, journal, patient, run, show, wait_until
from tests.machine.writers import Writers
from tests.support.crictl import binary
from tests.support.server import Client

ROUNDS = 10
STATUS = ("dpkg-query", "--show", "--showformat=${db:Status-Status}", "criserver")


@pytest.fixture(scope="module")
def installed(packages: Packages) -> None:
    """The package is there, at least since now."""
    if run(*STATUS, check=False).stdout != "installed":
        follow(packages)


@pytest.fixture(scope="module")
def writers(client: Client, installed: None) -> Writers:
    return Writers(client)


def follow(packages: Packages) -> None:
    """The pages about installing and the service, as their reader would follow them."""
    patient()
    for page in ("install.md", "service.md"):
        for kind, text in blocks(DOCS / page):
            if kind == "machine":
                script = text.replace("./criserver_*.deb", str(packages.old))
                run("bash", "-c", f"set -ex\nPATH=$PATH:{Path(binary()).parent}\n{script}")


def test_the_pages_install_it(packages: Packages) -> None:
    follow(packages)
    assert run(*STATUS).stdout == "installed"


def test_the_service_is_ready_and_watched(client: Client, installed: None) -> None:
    assert show("ActiveState") == "active"
    assert show("StatusText") == f"serving {SOCKET}"
    assert show("WatchdogUSec") not in ("", "0", "infinity")
    assert answers(client)
    assert run("systemctl", "is-enabled", "criserver").stdout.strip() == "enabled"
    verified = run("systemd-analyze", "verify", "--man=no", "criserver.service", check=False)
    assert "criserver.service" not in verified.stderr, verified.stderr


def test_pods_write(writers: Writers) -> None:
    assert writers.check() > 0


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_restart_leaves_containers_alone(client: Client, writers: Writers, number: int) -> None:
    before = show("MainPID")
    run("systemctl", "restart", "criserver")
    assert show("MainPID") != before
    assert answers(client), journal()
    writers.check()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_kill_leaves_containers_alone(client: Client, writers: Writers, number: int) -> None:
    pid = int(show("MainPID"))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: show("MainPID") not in ("0", str(pid)) and answers(client), "the server to be back")
    run("systemctl", "reset-failed", "criserver")
    writers.check()


@pytest.mark.parametrize("which", ["upgrade", "downgrade"])
def test_another_version_leaves_containers_alone(
    client: Client, packages: Packages, writers: Writers, which: str
) -> None:
    package = packages.new if which == "upgrade" else packages.old
    run("apt-get", "install", "-y", "--allow-downgrades", package)
    wait_until(lambda: answers(client), "the server to be back")
    assert run("criserver", "version").stdout.strip().endswith(".post1") == (which == "upgrade")
    writers.check()


def test_the_server_hangs_and_is_started_anew(client: Client, writers: Writers) -> None:
    pid = int(show("MainPID"))
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: show("MainPID") not in ("0", str(pid)) and answers(client), "the watchdog")
    writers.check()


def left() -> list[str]:
    """What of a server is on this machine."""
    found = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if "criserver" in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "/run/criserver" in command or "/usr/lib/criserver" in command or "mkfifo /tmp/never" in command:
                found.append(f"process {entry.name}: {command}")
    found += [str(path) for path in Path("/sys/fs/cgroup").rglob("*criserver*") if path.is_dir()]
    found += [path for path in ("/run/criserver", "/var/lib/criserver", "/etc/criserver") if os.path.exists(path)]
    units = run("systemctl", "list-units", "--all", "--plain", "--no-legend", "*criserver*", "cri-*", "crio-*").stdout
    return found + units.splitlines()


def test_a_removal_takes_the_pods_and_keeps_images(client: Client, writers: Writers) -> None:
    run("apt-get", "remove", "-y", "criserver")
    kept = ("/var/lib", "/etc", "criserver.service masked")  # as policy has it
    assert not [each for each in left() if not " ".join(each.split()).startswith(kept)], journal()
    for writer in writers.all:
        writer.read()
    assert os.path.exists("/var/lib/criserver/criserver.db")
    assert os.path.exists("/etc/criserver/config.yaml")


def test_a_purge_leaves_nothing(packages: Packages) -> None:
    run("apt-get", "purge", "-y", "criserver")
    assert left() == []
