"""The server as a service: told ready when it answers, watched, reloaded, alone on its socket, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.client.conftest import free_number
from tests.support.server import PROJECT, Server


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end of sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(10)
        yield end


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    """A server that is not started yet."""
    server = Server(tmp_path, free_number())
    server.prepare()
    yield server
    server.destroy()


def configure(server: Server, text: str) -> None:
    """A drop-in over the server's configuration."""
    directory = server.base / "config.d"
    directory.mkdir(exist_ok=True)
    (directory / "50-test.yaml").write_text(text)


def command(server: Server, *argv: str) -> subprocess.CompletedProcess[str]:
    """A command of the operator against the server."""
    return subprocess.run(
        [sys.executable, "-m", "criserver", *argv, "--config", f"{server.base}/config.yaml"],
        cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def listening(server: Server) -> str:
    """The flag that finds the server whatever its files say."""
    return f"--listen={server.socket}"


def test_ready_alive_and_stopping(served: Server, notified: socket.socket) -> None:
    served.start({"NOTIFY_SOCKET": notified.getsockname(), "WATCHDOG_USEC": "600000"})
    told = [notified.recv(256).decode() for _ in range(4)]
    assert sum(each.startswith("READY=1\nSTATUS=serving unix://") for each in told) == 1
    assert told.count("WATCHDOG=1") == 3, "each time that it answered itself"
    served.stop()
    rest = ""
    while rest != "STOPPING=1":
        rest = notified.recv(256).decode()


def test_a_server_that_does_not_answer_gives_no_sign(served: Server, notified: socket.socket) -> None:
    served.start({"NOTIFY_SOCKET": notified.getsockname(), "WATCHDOG_USEC": "600000"})
    assert served.process is not None
    os.kill(served.process.pid, signal.SIGSTOP)
    notified.settimeout(1.5)
    with pytest.raises(TimeoutError):
        _ = [notified.recv(256) for _ in range(100)]
    os.kill(served.process.pid, signal.SIGCONT)


def test_a_reload_tells_apart_what_holds_and_what_waits(served: Server) -> None:
    served.start()
    configure(served, "image: {pinned: ['busybox']}\nstats: {collection_period: 7}\n")
    done = command(served, "reload", listening(served))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "image.pinned: () → ('busybox',)", "stats.collection_period: 1.0 → 7.0 after a restart",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("log_level: error\nstats: {colection_period: 7}\n", "unknown key stats.colection_period; did you mean"),
        ("log_level: error\nstats: {collection_period: soon}\n", "stats.collection_period must be a number"),
        ("log_level: error\nimage: [\n", "line 3"),
    ],
)
def test_a_wrong_reload_changes_nothing(served: Server, text: str, reason: str) -> None:
    served.start()
    configure(served, text)
    refused = command(served, "reload", listening(served))
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert served.process is not None
    os.kill(served.process.pid, signal.SIGHUP)
    served.wait_until(lambda: "is not taken up, nothing changes" in served.tail(), 10, "the refusal in the log")
    assert reason in served.tail()
    assert served.answers()


def test_sighup_takes_up_the_files(served: Server) -> None:
    served.start()
    configure(served, "image: {pinned: ['a.example/pinned:*']}\n")
    assert served.process is not None
    os.kill(served.process.pid, signal.SIGHUP)
    served.wait_until(lambda: "configuration: image.pinned: () → ('a.example/pinned:*',)" in served.tail(), 10, "it")


def test_a_second_server_is_refused_with_the_pid_of_the_first(served: Server, tmp_path: Path) -> None:
    served.start()
    assert served.process is not None
    pid = served.process.pid
    other = {"root": str(tmp_path / "root2"), "state": str(tmp_path / "state2"), "listen": f"unix://{tmp_path}/2.sock"}
    for key, mine in (("root", served.root), ("state", served.state), ("listen", served.socket)):
        (tmp_path / "second.yaml").write_text(yaml.safe_dump({**other, key: str(mine)}))
        second = subprocess.run(
            [sys.executable, "-m", "criserver", "serve", "--config", str(tmp_path / "second.yaml")],
            cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"the server with pid {pid}: stop it" in second.stderr
    assert served.answers()
