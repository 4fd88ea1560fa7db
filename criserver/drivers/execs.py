"""ExecSync: one process in a running container, its output bounded, its time limited, nothing of it left at the end.

The process's pipes come straight here; the monitor and the zygote never see its data. A child that it leaves behind
and that holds a pipe does not hold the answer.

Each exec has a cgroup of its own below the container's, so that at the deadline not even a daemon that it has started
lives on. It is made without controllers on v2 and in the pids hierarchy alone on v1: a memory cgroup would be kept by
the kernel for as long as a page is charged to it, and probes would pile them up by the thousand. Where the runtime
cannot put an exec there (crun on v1), a process that leaves the exec's process tree survives the deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from conmon.client import ConmonError, ConnectionLost, ExecSpec, Zygote
from criserver.errors import DeadlineExceeded, FailedPrecondition, RuntimeFailed, Unavailable
from criserver.kernel import cgroupfs, files, process, trees
from criserver.kernel.cgroupfs import Hierarchy
from criserver.kernel.offload import offload
from criserver.kernel.pipes import Sink
from criserver.ports.monitor import ExecResult

# Seconds for which pipes are read on after the process has ended.
_DRAIN = 0.1
# Seconds that killed processes get to be gone, and between two kills.
_DYING = 5.0
_AGAIN = 0.05
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


class ExecSyncs:
    """Runs execs through one zygote."""

    def __init__(self, zygote: Zygote, hierarchies: Sequence[Hierarchy]) -> None:
        """`hierarchies` are the host's cgroup hierarchies."""
        self._zygote = zygote
        self._hierarchy = exec_hierarchy(hierarchies)
        self._help: dict[str, bytes] = {}

    async def run(self, request: Request, *, timeout: float, limit: int) -> ExecResult:
        """Run the process to its end. `timeout` is in seconds (0: none), `limit` in bytes of each stream kept.

        RuntimeFailed carries the runtime's words when there is no process; DeadlineExceeded is raised when all that
        the exec started has been killed. Unavailable when the exec's session was killed.
        """
        name = f"exec-{os.urandom(8).hex()}"
        directory = f"{request.directory}/{name}"
        own = await self._own_cgroup(request, name)
        running = _Running(limit)
        try:
            await offload(_prepare, request, directory, own)
            try:
                async with asyncio.timeout(timeout or None):
                    return await running.finish(self._zygote, _spec(request, directory, own))
            except BaseException:
                await _kill(own, running)
                raise
        except TimeoutError:
            shown = f"{_arguments(request.process)} in container {request.container_id}"
            raise DeadlineExceeded(f"command {shown} timed out after {timeout:g} s") from None
        except ConnectionLost as error:
            raise Unavailable(f"exec in container {request.container_id}: {error}") from error
        except ConmonError as error:
            raise RuntimeFailed(f"exec in container {request.container_id}: {error}") from error
        finally:
            running.close()
            await offload(_clean, directory, own)

    async def _own_cgroup(self, request: Request, name: str) -> _Own | None:
        """The exec's own cgroup, if the container's is known and the runtime can put a process there."""
        flag = cgroup_flag(await self._help_of(request.command[0]), self._hierarchy, name)
        if self._hierarchy is None or not flag or not request.cgroup:
            return None
        return _Own(self._hierarchy, request.cgroup, name, flag)

    async def _help_of(self, runtime: str) -> bytes:
        """What `exec --help` of the runtime prints; asked once for each binary."""
        if runtime not in self._help:
            self._help[runtime] = (await process.run([runtime, "exec", "--help"], timeout=_HELP_TIMEOUT)).stdout
        return self._help[runtime]


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


@dataclass(frozen=True, slots=True)
class _Own:
    """An exec's own cgroup: child `name` of the container's cgroup, and the flags that make the runtime use it."""

    hierarchy: Hierarchy
    parent: str
    name: str
    flags: tuple[str, ...]

    @property
    def cgroup(self) -> str:
        return f"{self.parent}/{self.name}"


def _spec(request: Request, directory: str, own: _Own | None) -> ExecSpec:
    return ExecSpec(
        id=request.container_id,
        exec_id=os.path.basename(directory),
        directory=directory,
        runtime=request.command,
        process=f"{directory}/{_DOCUMENT}",
        exec_flags=own.flags if own else (),
        cgroup_procs=cgroupfs.procs_files([own.hierarchy], own.cgroup) if own else (),
    )


def _prepare(request: Request, directory: str, own: _Own | None) -> None:
    try:
        os.mkdir(directory, 0o700)
        files.write_atomic(f"{directory}/{_DOCUMENT}", request.process.encode())
    except FileNotFoundError:
        raise FailedPrecondition(f"container {request.container_id} has no monitor to run a command with") from None
    if own:
        try:
            cgroupfs.make_child(own.hierarchy, own.parent, own.name)
        except OSError as error:
            raise FailedPrecondition(f"container {request.container_id} cannot take a command: {error}") from error


async def _kill(own: _Own | None, running: _Running) -> None:
    """Kill all that the exec started, until nothing holds its pipes; also a runtime that has not got there yet."""
    ends = running.ends()
    deadline = asyncio.get_running_loop().time() + _DYING
    while asyncio.get_running_loop().time() < deadline:
        if own:
            await offload(cgroupfs.kill, [own.hierarchy], own.cgroup)
        _, waiting = await asyncio.wait(ends, timeout=_AGAIN)
        if not waiting:
            return


def _clean(directory: str, own: _Own | None) -> None:
    trees.remove_tree(directory)
    if own:
        # Busy while a process that the command has left behind lives: then it goes with the container.
        cgroupfs.remove(own.hierarchy, own.cgroup)


class _Running:
    """The two output pipes of an exec while it runs."""

    def __init__(self, limit: int) -> None:
        self._out, self._err = Sink(limit), Sink(limit)

    async def finish(self, zygote: Zygote, spec: ExecSpec) -> ExecResult:
        """Start the process, wait for its end and for what is in its pipes then."""
        theirs = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), self._out.open(), self._err.open()]
        try:
            session = await zygote.exec(spec, (theirs[0], theirs[1], theirs[2]))
        finally:
            for fd in theirs:
                os.close(fd)
        try:
            ends = self.ends()
            code = await session.wait()
            await asyncio.wait(ends, timeout=_DRAIN)
        finally:
            session.close()
        out, err = self._out, self._err
        return ExecResult(code, bytes(out.kept), bytes(err.kept), out.truncated or err.truncated)

    def ends(self) -> list[asyncio.Future[None]]:
        """Read what comes; the futures of the pipes' ends."""
        loop = asyncio.get_running_loop()
        return [self._out.attach(loop), self._err.attach(loop)]

    def close(self) -> None:
        """Close the pipes."""
        self._out.close()
        self._err.close()


def _arguments(document: str) -> str:
    """The command line in a process document, for an error, bounded."""
    return json.dumps(json.loads(document).get("args", []))[:256]
