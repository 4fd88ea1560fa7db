"""Debian's operators and the kubelet's testers drive a node with crictl; so do tests, against a server of their own.

What may live here: how crictl is called. Not what it should answer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.machine import slowness

TOOLS = Path(os.environ.get("CRISERVER_TOOLS", Path.home() / ".cache/criserver/tools")) / "bin"
SECONDS = 60.0 * slowness()


def binary() -> str:
    """Path of crictl: the one that hack/tools built, else one in PATH; "" when there is none."""
    return shutil.which("crictl", path=os.pathsep.join([str(TOOLS), os.environ.get("PATH", "")])) or ""


def missing() -> str:
    """What this machine lacks, "" when nothing."""
    return "" if binary() else "crictl is not installed: hack/tools crictl builds it, with Go"


class Crictl:
    """crictl against one socket; `directory` holds its configuration and the requests that it reads."""

    def __init__(self, socket: str, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self._directory, self._files = directory, 0
        config = directory / "crictl.yaml"
        endpoints = {"runtime-endpoint": socket, "image-endpoint": socket}
        config.write_text(yaml.safe_dump({**endpoints, "timeout": int(SECONDS) // 2}))
        self.argv = (binary(), "--config", str(config))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, whatever that is."""
        return subprocess.run(
            [*self.argv, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=SECONDS,
        )  # fmt: skip

    def __call__(self, *arguments: str) -> str:
        """Standard output of a call that must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"crictl {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def json(self, verb: str, *arguments: str) -> Any:
        """The answer to a call that must succeed, as JSON."""
        return json.loads(self(verb, "-o", "json", *arguments))

    def refused(self, *arguments: str) -> str:
        """Standard error of a call that must fail."""
        done = self.run(*arguments)
        assert done.returncode != 0, f"crictl {' '.join(arguments)} succeeded: {done.stdout}"
        return done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a call that takes its time."""
        return subprocess.Popen(
            [*self.argv, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def file(self, document: Mapping[str, Any]) -> str:
        """Write a request and return its path."""
        self._files += 1
        path = self._directory / f"{self._files}.json"
        path.write_text(json.dumps(document))
        return str(path)

    def runp(self, pod: Mapping[str, Any], *flags: str) -> str:
        """Run a pod sandbox; its id."""
        return self("runp", *flags, self.file(pod))

    def create(self, pod_id: str, container: Mapping[str, Any], pod: Mapping[str, Any], *flags: str) -> str:
        """Create a container; its id."""
        return self("create", *flags, pod_id, self.file(container), self.file(pod))


def pod(name: str, logs: Path | None = None, *, attempt: int = 0, **more: Any) -> dict[str, Any]:
    """A pod-config.json; `more` are fields of PodSandboxConfig."""
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "attempt": attempt}
    return {"metadata": metadata, "log_directory": str(logs or ""), "linux": {}} | more


def container(name: str, *command: str, image: str, attempt: int = 0, **more: Any) -> dict[str, Any]:
    """A container-config.json that logs to NAME.log; `more` are fields of ContainerConfig."""
    return {
        "metadata": {"name": name, "attempt": attempt},
        "image": {"image": image},
        "command": list(command),
        "log_path": f"{name}.log",
        "linux": {},
    } | more
