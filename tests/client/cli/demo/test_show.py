"""The demo from beginning to end, on a private root, state and socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from criserver.cli.demo import leftovers


@dataclass
class Place:
    """Where a demo runs, and how it is called."""

    base: Path

    @property
    def command(self) -> list[str]:
        flags = ["--root", f"{self.base}/root", "--state", f"{self.base}/state", "--listen", f"unix://{self.base}/s"]
        return [sys.executable, "-m", "criserver", "demo", *flags]

    def left(self) -> list[str]:
        """What there still is of the demo."""
        ours = [f"file {path}" for path in self.base.iterdir()]
        ours += [f"mount {point}" for point in leftovers.mounts_below(str(self.base))]
        for entry in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if str(self.base).encode() in Path("/proc", entry, "cmdline").read_bytes():
                    ours.append(f"process {entry}")
            except OSError:
                continue
        return ours


@pytest.fixture
def place() -> Iterator[Place]:
    for program in ("runc", "skopeo", "busybox", "iptables"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            pytest.skip(f"{program} is missing")
    base = Path(tempfile.mkdtemp(prefix="cd-", dir="/tmp"))
    yield Place(base)
    shutil.rmtree(base, ignore_errors=True)


def test_once_shows_everything_and_leaves_nothing(place: Place) -> None:
    done = subprocess.run([*place.command, "--once"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "✓ server",
        "✓ load",
        "demo/web is ready at 10.",
        "network",
        "Hello from web at 10.",
        "serving /www on port 80",
        "response:200",
        "httpd -f -v -p 80",
        "✓ pod         demo/web stopped and removed",
    ):
        assert words in done.stdout
    assert place.left() == []


def test_it_runs_until_it_is_told_to_stop_and_a_second_one_says_so(place: Place) -> None:
    with subprocess.Popen(place.command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if "Ctrl-C takes" in line:
                break
        second = subprocess.run(place.command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 0, second.stdout + second.stderr
        assert f"is running already on {place.base}/s" in second.stdout
        assert "demo/web  httpd      Running" in second.stdout
        first.send_signal(signal.SIGINT)
        rest = first.stdout.read()
        deadline = time.monotonic() + 60
        while first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    assert first.returncode == 0, rest
    assert place.left() == []
