"""Programs that stand before real ones: a CNI plugin or a runtime that is slow, fails or hangs when a test says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

PLUGIN_DIRECTORIES = ("/opt/cni/bin", "/usr/lib/cni")

SCRIPT = """#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
asked=" ${{CNI_COMMAND:-$*}} "
echo "$asked" >> {directory}/calls
case $asked in *" {when} "*) [ ! -f {directory}/first ] || . {directory}/first ;; esac
exec {real} "$@"
"""


class Wrapper:
    """A script that first does what it is told, when it is asked for `when`, and then becomes the real program."""

    def __init__(self, path: Path, real: str, when: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._directory = path.parent / f"{path.name}.d"
        self._directory.mkdir()
        self._first, self._calls = self._directory / "first", self._directory / "calls"
        path.write_text(SCRIPT.format(directory=self._directory, when=when, real=real))
        path.chmod(0o755)

    def first(self, commands: str) -> None:
        """Shell commands to do before the real program, until `clear`."""
        self._first.write_text(commands + "\n")

    def clear(self) -> None:
        """Be as the real program again, and forget what was asked."""
        self._first.unlink(missing_ok=True)
        self._calls.unlink(missing_ok=True)

    def calls(self, word: str) -> int:
        """How often it was asked for `word` since `clear`."""
        text = self._calls.read_text() if self._calls.exists() else ""
        return sum(f" {word} " in line for line in text.splitlines())


def plugin(directory: Path) -> Wrapper:
    """The bridge plugin as `directory`/test-bridge, which obeys at ADD."""
    real = shutil.which("bridge", path=":".join(PLUGIN_DIRECTORIES))
    assert real, "no bridge plugin (Debian package containernetworking-plugins)"
    return Wrapper(directory / "test-bridge", real, "ADD")


def runtime(directory: Path, command: str) -> Wrapper:
    """runc as `directory`/test-runc, which obeys at `command` ("create", "start", ...)."""
    real = shutil.which("runc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert real, "no runc (Debian package runc)"
    return Wrapper(directory / "test-runc", real, command)


def cni_error(code: int, message: str, details: str) -> str:
    """Shell commands that fail as a CNI plugin does (CNI specification, section "Error")."""
    error: dict[str, Any] = {"cniVersion": "1.0.0", "code": code, "msg": message, "details": details}
    return f"cat > /dev/null; echo '{json.dumps(error)}'; exit 1"
