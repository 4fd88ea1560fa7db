"""A machine with systemd, and packages to install on it; `make test-package` brings both.

These tests change the machine that they run on, one after the other: they are for a machine that is thrown away.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from tests.support.server import Client

SOCKET = "unix:///run/criserver/criserver.sock"


def run(*argv: str | Path, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """A command as root would type it."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "CONTAINER_RUNTIME_ENDPOINT": SOCKET}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=timeout, check=False, cwd="/")
    assert done.returncode == 0 or not check, f"{argv}: {done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Packages:
    """Debian packages of this commit, as two versions."""

    old: Path
    new: Path


@pytest.fixture(scope="session")
def packages() -> Packages:
    if not os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd does not run here: make test-package brings a machine")
    if "CRISERVER_DEBS" not in os.environ:
        pytest.skip("CRISERVER_DEBS names no directory of packages: make test-package builds them")
    old, new = sorted(Path(os.environ["CRISERVER_DEBS"]).glob("criserver_*.deb"), key=lambda path: len(path.name))
    return Packages(old, new)


@pytest.fixture(scope="module")
def client(packages: Packages) -> Iterator[Client]:
    """A connection to the installed server, which comes back by itself after restarts."""
    with grpc.insecure_channel(SOCKET, options=[("grpc.max_reconnect_backoff_ms", 500)]) as channel:
        yield Client(channel)
