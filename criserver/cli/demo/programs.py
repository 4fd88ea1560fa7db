"""The programs that the demo runs: the host's own tools, and the server as its child."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

Child = subprocess.Popen[bytes]
Timeout = subprocess.TimeoutExpired


def output(*command: str) -> str:
    """What a program prints; nothing when it is missing. Its exit code and its complaints do not matter here."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    program = shutil.which(command[0], path=path)
    if program is None:
        return ""
    return subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False).stdout


def start_server(config_path: str) -> Child:
    """`criserver serve` with that configuration; its log comes through the child's stderr.

    It gets a session of its own, so that a terminal's Ctrl-C reaches its parent alone.
    """
    command = [sys.executable, "-m", "criserver", "serve", "--config", config_path]
    nothing = subprocess.DEVNULL
    return Child(command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE, start_new_session=True)
