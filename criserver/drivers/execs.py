"""ExecSync: one process in a running container, its output bounded, its time limited, nothing of it left at the end.

The process's pipes come straight here; the monitor and the zygote never see its data. Each exec has a cgroup of its
own below the container's, so that at the deadline not even a daemon that it has started lives on; a child that it
leaves behind in time and that holds a pipe does not hold the answer.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from conmon.client import ConmonError, ConnectionLost, ExecSpec, Zygote
from criserver.errors import DeadlineExceeded, FailedPrecondition, RuntimeFailed, Unavailable
from criserver.kernel import cgroupfs, files, process
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


@dataclass(frozen=True, slots=True)
class Request:
    """One exec of a container. `directory` takes its temporary file; `cgroup` is the container's, "" when unknown."""

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
        self._hierarchies = hierarchies
        self._count = 0
        self._cgroup_flag: dict[str, bool] = {}

    async def run(self, request: Request, *, timeout: float, limit: int) -> ExecResult:
        """Run the process to its end. `timeout` is in seconds (0: none), `limit` in bytes of each stream kept.

        RuntimeFailed carries the runtime's words when there is no process; DeadlineExceeded is raised when all that
        the exec started has been killed. Unavailable when the exec's session was killed.
        """
        self._count += 1
        name = f"exec-{os.getpid()}-{self._count}"
        document = f"{request.directory}/{name}.json"
        own = await self._takes_cgroup(request.command[0]) and request.cgroup
        running = _Running(limit)
        try:
            await offload(self._prepare, request, document, name if own else "")
            try:
                async with asyncio.timeout(timeout or None):
                    return await running.finish(self._zygote, self._spec(request, document, name if own else ""))
            except BaseException:
                await self._kill(f"{request.cgroup}/{name}" if own else "", running)
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
            await offload(self._clean, document, f"{request.cgroup}/{name}" if own else "")

    async def _takes_cgroup(self, runtime: str) -> bool:
        """Whether the runtime has `exec --cgroup` (runc 1.1, crun 1.0); asked once for each binary."""
        if runtime not in self._cgroup_flag:
            done = await process.run([runtime, "exec", "--help"], timeout=_HELP_TIMEOUT)
            self._cgroup_flag[runtime] = b"--cgroup" in done.stdout
        return self._cgroup_flag[runtime]

    def _spec(self, request: Request, document: str, name: str) -> ExecSpec:
        return ExecSpec(
            id=request.container_id,
            exec_id=os.path.basename(document).removesuffix(".json"),
            directory=request.directory,
            runtime=request.command,
            process=document,
            exec_flags=("--cgroup", name) if name else (),
            cgroup_procs=cgroupfs.procs_files(self._hierarchies, f"{request.cgroup}/{name}") if name else (),
        )

    def _prepare(self, request: Request, document: str, name: str) -> None:
        try:
            files.write_atomic(document, request.process.encode())
        except FileNotFoundError:
            raise FailedPrecondition(f"container {request.container_id} has no monitor to run a command with") from None
        for hierarchy in self._hierarchies if name else ():
            cgroupfs.make_child(hierarchy, request.cgroup, name)

    async def _kill(self, cgroup: str, running: _Running) -> None:
        """Kill all that the exec started, until nothing holds its pipes; also a runtime that has not got there yet."""
        ends = running.ends()
        deadline = asyncio.get_running_loop().time() + _DYING
        while asyncio.get_running_loop().time() < deadline:
            if cgroup:
                await offload(cgroupfs.kill, self._hierarchies, cgroup)
            _, waiting = await asyncio.wait(ends, timeout=_AGAIN)
            if not waiting:
                return

    def _clean(self, document: str, cgroup: str) -> None:
        files.remove(document)
        for hierarchy in self._hierarchies if cgroup else ():
            # Busy while a process that the command has left behind lives: then it goes with the container.
            cgroupfs.remove(hierarchy, cgroup)


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
