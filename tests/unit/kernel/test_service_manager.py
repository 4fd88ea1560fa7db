"""sd_notify(3) at a real datagram socket."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.kernel.service_manager import ServiceManager, from_environment


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(5)
        yield end


def test_what_is_told(heard: socket.socket) -> None:
    manager = from_environment({"NOTIFY_SOCKET": heard.getsockname()})
    manager.ready("serves\nwell")
    manager.alive()
    manager.status("3 pods")
    manager.stopping()
    told = [heard.recv(256).decode() for _ in range(4)]
    assert told == ["READY=1\nSTATUS=serves well", "WATCHDOG=1", "STATUS=3 pods", "STOPPING=1"]


def test_an_abstract_address() -> None:
    name = f"criserver-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        end.settimeout(5)
        from_environment({"NOTIFY_SOCKET": f"@{name}"}).alive()
        assert end.recv(64) == b"WATCHDOG=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_nothing_is_sent(environment: dict[str, str]) -> None:
    manager = from_environment({**environment, "WATCHDOG_USEC": "1000000"})
    manager.ready("serves")
    assert manager.watchdog is None


def test_a_manager_that_has_gone_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager(str(tmp_path / "none")).ready("serves")
    assert "cannot be told 'READY=1'" in caplog.text


@pytest.mark.parametrize(
    ("pid", "microseconds", "expected"),
    [
        (None, "30000000", 30.0), (str(os.getpid()), "500000", 0.5), ("1", "30000000", None), (None, "", None),
        (None, "0", None), (None, "-1", None), (None, "soon", None),
    ],
)
def test_watchdog(pid: str | None, microseconds: str, expected: float | None) -> None:
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": microseconds}
    if pid is not None:
        environment["WATCHDOG_PID"] = pid
    assert from_environment(environment).watchdog == expected
