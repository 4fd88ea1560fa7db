"""A machine with systemd, and packages to install on it; `make test-package` brings both.

These tests change the machine that they run on, one after the other: they are for a machine that is thrown away. Each
takes the machine as the last one left it, also that of an earlier run of pytest, so that one can be tried again alone.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support.machine import slowness
from tests.support.server import Client

SOCKET = "unix:///run/criserver/criserver.sock"
SECONDS = 100.0 * slowness()
"""How long anything may take here: a command, a call, or what comes by itself. What takes longer hangs."""


SLOW = Path("/etc/systemd/system/criserver.service.d/slow.conf")
"""What the service is told of a slow machine: a watchdog that is meant for fast ones would kill what is only slow."""


def run(*argv: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command as root would type it."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "CONTAINER_RUNTIME_ENDPOINT": SOCKET}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=SECONDS, check=False, cwd="/")
    assert done.returncode == 0 or not check, f"{argv}: {done.stdout}\n{done.stderr}"
    return done


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Poll until `true`."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}:\n{journal()}"
        time.sleep(0.5)


def journal(lines: int = 40) -> str:
    """What the service said last."""
    return run("journalctl", "--unit=criserver", f"--lines={lines}", "--no-pager", check=False).stdout


def show(key: str) -> str:
    """What systemd knows of the service."""
    return run("systemctl", "show", "criserver", f"--property={key}", "--value").stdout.strip()


def answers(client: Client) -> bool:
    """Whether the server does."""
    try:
        client("Version", pb.VersionRequest(), timeout=3 * slowness())
    except grpc.RpcError:
        return False
    return True


def patient() -> None:
    """Let systemd have patience with the service, in proportion."""
    SLOW.parent.mkdir(parents=True, exist_ok=True)
    SLOW.write_text(f"[Service]\nWatchdogSec={SECONDS / 2:.0f}\nTimeoutStartSec={SECONDS:.0f}\n")
    run("systemctl", "daemon-reload")


@dataclass(frozen=True)
class Packages:
    """Debian packages of this commit, as two versions; one and the same where a test needs no other."""

    old: Path
    new: Path


@pytest.fixture(scope="session")
def packages() -> Packages:
    if not os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd does not run here: make test-package brings a machine")
    if "CRISERVER_DEBS" not in os.environ:
        pytest.skip("CRISERVER_DEBS names no directory of packages: make test-package builds them")
    found = sorted(Path(os.environ["CRISERVER_DEBS"]).glob("criserver_*.deb"), key=lambda path: len(path.name))
    return Packages(found[0], found[-1])


@pytest.fixture(scope="module")
def client(packages: Packages) -> Iterator[Client]:
    """A connection to the installed server, which comes back by itself after restarts."""
    with grpc.insecure_channel(SOCKET, options=[("grpc.max_reconnect_backoff_ms", 500)]) as channel:
        yield Client(channel)
