"""critest, the conformance suite of CRI servers, against a server of a test: groups of its specs, and how they ended.

What may live here: how critest is called and how its report is read. Not which specs should pass.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.crictl import TOOLS
from tests.support.critest_images import DIGEST_IMAGE, critest_with_digest
from tests.support.machine import slowness
from tests.support.server import Server

PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
"""Begins a wrapper for `Server`: what the last argument does is done in a mount namespace of the server's own."""

NO_UNIFIED = 'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
"""crun takes cgroup v1 hierarchies or cgroup v2, and refuses a host that has both: see `PRIVATE_MOUNTS`."""


def private(script: str = NO_UNIFIED) -> tuple[str, ...]:
    """A `Server` wrapper that runs the server in a mount namespace of its own after `script`."""
    return (*PRIVATE_MOUNTS, script, "sh")


def missing() -> str:
    """What this machine lacks, "" when nothing."""
    return "" if _binary() else "critest is not installed: hack/tools critest builds it, with Go"


def _binary() -> str:
    return shutil.which("critest", path=os.pathsep.join([str(TOOLS), os.environ.get("PATH", "")])) or ""


@dataclass(frozen=True)
class Outcome:
    """How specs ended, by their full names."""

    passed: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> str:
        """What failed, in words."""
        return "\n\n".join(f"{name}: {words}" for name, words in self.failed.items())


@dataclass(frozen=True)
class Critest:
    """critest that pulls from a registry which `critest_images.push_all` has filled."""

    program: Path
    directory: Path

    @classmethod
    def prepared(cls, directory: Path, digests: Mapping[str, str]) -> Critest:
        """A copy in `directory` that asks for the digest which the registry gave DIGEST_IMAGE."""
        target = directory / "critest"
        return cls(critest_with_digest(Path(_binary()), target, digests[f"{DIGEST_IMAGE}:latest"]), directory)

    def run(self, server: Server, focus: Sequence[str], skip: Sequence[str] = (), *, seconds: int = 300) -> Outcome:
        """Run the specs whose names match one of `focus` and none of `skip` (regular expressions).

        It runs in the server's mount namespace: some specs mount for the server to see. AssertionError when it ends
        without a report, or with processes of its own stuck for `seconds`.
        """
        assert server.process is not None
        seconds = int(seconds * slowness())
        report = self.directory / "report.json"
        report.unlink(missing_ok=True)
        argv = [
            "nsenter", "--mount", "--target", str(server.process.pid), "--", str(self.program),
            f"--runtime-endpoint={server.socket}", f"--image-endpoint={server.socket}", "--ginkgo.no-color",
            f"--ginkgo.json-report={report}", f"--ginkgo.timeout={seconds}s", "--ginkgo.grace-period=10s",
            *(f"--ginkgo.focus={pattern}" for pattern in focus), *(f"--ginkgo.skip={pattern}" for pattern in skip),
        ]  # fmt: skip
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=seconds + 30, cwd=self.directory,
        )  # fmt: skip
        assert report.exists(), done.stdout[-4000:]
        outcome = _outcome(json.loads(report.read_text()))
        assert outcome.failed or done.returncode == 0, done.stdout[-4000:]
        return outcome


def _outcome(suites: Sequence[Mapping[str, Any]]) -> Outcome:
    passed, failed, skipped = set(), {}, {}
    for spec in (spec for suite in suites for spec in suite["SpecReports"] or () if spec["LeafNodeType"] == "It"):
        name = " ".join([*(spec["ContainerHierarchyTexts"] or ()), spec["LeafNodeText"]])
        failure = spec.get("Failure") or {}
        if spec["State"] == "passed":
            passed.add(name)
        elif spec["State"] != "skipped":
            failed[name] = f"{spec['State']}: {failure.get('Message', '')} {_where(failure)}"
        elif failure.get("Message"):  # it skipped itself; those that were not asked for say nothing
            skipped[name] = failure["Message"]
    return Outcome(frozenset(passed), failed, skipped)


def _where(failure: Mapping[str, Any]) -> str:
    location = failure.get("Location") or {}
    return re.sub(r"^.*/", "", f"{location.get('FileName', '')}:{location.get('LineNumber', '')}")
