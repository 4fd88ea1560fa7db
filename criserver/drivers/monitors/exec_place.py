"""Where one exec lives: a directory and a cgroup of its own, made before it and gone with it.

Each exec has a cgroup of its own below the container's, so that whoever ends it reaches even a daemon that it has
started. It is made without controllers on v2 and in the pids hierarchy alone on v1: a memory cgroup would be kept by
the kernel for as long as a page is charged to it, and probes would pile them up by the thousand. Where the runtime
cannot put an exec there (crun on v1), a process that leaves the exec's process tree survives the end of that exec.

Nothing here knows what becomes of the process's input and output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from conmon.client import ExecSpec, Zygote
from criserver.errors import FailedPrecondition
from criserver.kernel import cgroupfs, files, process, trees
from criserver.kernel.cgroupfs import Hierarchy
from criserver.kernel.offload import offload

_HELP_TIMEOUT = 10.0
_DOCUMENT = "process.json"


@dataclass(frozen=True, slots=True)
class Request:
    """One exec of a container. `directory` and `cgroup` are the container's, the latter "" when unknown.

    In each the exec gets a child of its own, which goes with it.
    """

    container_id: str
    directory: str
    cgroup: str
    command: tuple[str, ...]
    process: str


class Places:
    """Makes places for the execs of one zygote."""

    def __init__(self, zygote: Zygote, hierarchies: Sequence[Hierarchy]) -> None:
        """`hierarchies` are the host's cgroup hierarchies."""
        self.zygote = zygote
        self._hierarchy = exec_hierarchy(hierarchies)
        self._help: dict[str, bytes] = {}

    async def choose(self, request: Request) -> Place:
        """The place of a new exec; nothing of it is made yet."""
        name = f"exec-{os.urandom(8).hex()}"
        flags = cgroup_flag(await self._help_of(request.command[0]), self._hierarchy, name)
        known = self._hierarchy is not None and flags and request.cgroup
        return Place(request, name, self._hierarchy if known else None, flags if known else ())

    async def _help_of(self, runtime: str) -> bytes:
        """What `exec --help` of the runtime prints; asked once for each binary."""
        if runtime not in self._help:
            self._help[runtime] = (await process.run([runtime, "exec", "--help"], timeout=_HELP_TIMEOUT)).stdout
        return self._help[runtime]


@dataclass(frozen=True, slots=True)
class Place:
    """A directory and, where `hierarchy` says so, a cgroup, both called `name`; `flags` make the runtime use it."""

    request: Request
    name: str
    hierarchy: Hierarchy | None
    flags: tuple[str, ...]

    @property
    def directory(self) -> str:
        """Its directory, for the runtime's temporary files."""
        return f"{self.request.directory}/{self.name}"

    @property
    def cgroup(self) -> str:
        """Its cgroup, if it has one."""
        return f"{self.request.cgroup}/{self.name}"

    def spec(self, *, terminal: bool = False) -> ExecSpec:
        """What the zygote is asked to start here."""
        return ExecSpec(
            id=self.request.container_id,
            exec_id=self.name,
            directory=self.directory,
            runtime=self.request.command,
            process=f"{self.directory}/{_DOCUMENT}",
            exec_flags=self.flags,
            cgroup_procs=cgroupfs.procs_files([self.hierarchy], self.cgroup) if self.hierarchy else (),
            terminal=terminal,
            umask=json.loads(self.request.process).get("user", {}).get("umask"),
        )

    async def make(self) -> None:
        """Make it, the process document in it. FailedPrecondition when the container is not there any more."""
        await offload(self._make)

    async def kill(self) -> frozenset[int]:
        """SIGKILL what is in its cgroup, if it has one; returns what does not die."""
        if self.hierarchy is None:
            return frozenset()
        return await offload(cgroupfs.kill, [self.hierarchy], self.cgroup)

    async def remove(self) -> None:
        """Remove it. A cgroup in which a process lives on stays, and goes with the container. Idempotent."""
        await offload.surely(self._remove)

    def _make(self) -> None:
        container_id = self.request.container_id
        try:
            os.mkdir(self.directory, 0o700)
            files.write_atomic(f"{self.directory}/{_DOCUMENT}", self.request.process.encode())
        except FileNotFoundError:
            raise FailedPrecondition(f"container {container_id} has no monitor to run a command with") from None
        if self.hierarchy is not None:
            try:
                cgroupfs.make_child(self.hierarchy, self.request.cgroup, self.name)
            except OSError as error:
                raise FailedPrecondition(f"container {container_id} cannot take a command: {error}") from error

    def _remove(self) -> None:
        trees.remove_tree(self.directory)
        if self.hierarchy is not None:
            cgroupfs.remove(self.hierarchy, self.cgroup)


def exec_hierarchy(hierarchies: Sequence[Hierarchy]) -> Hierarchy | None:
    """Where execs get their cgroups: v1's pids hierarchy, or v2 where there is no v1."""
    v1 = [hierarchy for hierarchy in hierarchies if hierarchy.version == 1]
    if not v1:
        return next(iter(hierarchies), None)
    return next((hierarchy for hierarchy in v1 if "pids" in hierarchy.controllers), None)


def cgroup_flag(help_text: bytes, hierarchy: Hierarchy | None, name: str) -> tuple[str, ...]:
    """The runtime's flags for an exec in the container's child cgroup `name`; none where it cannot do that.

    On v1 it must take a controller (runc 1.1), on v2 a name is enough (crun 1.0 as well).
    """
    if hierarchy is None or b"--cgroup" not in help_text:
        return ()
    if hierarchy.version == 2:
        return ("--cgroup", name)
    return ("--cgroup", f"pids:{name}") if b"<controller>:" in help_text else ()
