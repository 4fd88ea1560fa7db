"""Monitors of containers (port `Monitors`): the client half of the stand-alone `conmon`, plus what outlives a monitor.

A container's monitor directory is <state>/containers/<id>/monitor. What is in it (state record, socket, exit record)
and the kernel are the truth; the registry here only saves connecting and reading twice, and may be empty at any time.
Identity of a process is its pid with its start time, and signals go through a pidfd opened on that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from signal import SIGKILL

from conmon.client import ConmonError, ConnectionLost, ContainerSpec, Home, Monitor, PodInitSpec, Zygote, nowhere
from criserver.drivers.monitors import exits
from criserver.drivers.monitors.exec_place import Places, Request
from criserver.drivers.monitors.execs import ExecSyncs
from criserver.drivers.monitors.watches import Living, Watch
from criserver.errors import DeadlineExceeded, FailedPrecondition, Internal, RuntimeFailed, Unavailable
from criserver.kernel import cgroupfs, files, proc, trees
from criserver.kernel.cgroupfs import Hierarchy
from criserver.kernel.offload import offload
from criserver.model import cgroup_names
from criserver.observe.timings import asked, asking, braced
from criserver.ports.monitor import ExecResult, ExitRecord, MonitorRequest, Observed

# Seconds that a runtime may take for a create: less than the four minutes that a kubelet waits at most.
_CREATE_TIMEOUT = 200.0
# Seconds that a monitor may take to write the exit record after its container's init has ended: it first reads what
# is left in the pipes, which processes that live on may hold open.
_RECORD_TIMEOUT = 15.0
# A monitor may take 12 s to undo a create that was given up; so often is looked, with that pause (seconds).
_UNDO_ROUNDS = 600
_PAUSE = 0.02


class ConmonMonitors:
    """The monitors of this server's containers, and the zygote that forks them."""

    def __init__(self, state: str, hierarchies: Sequence[Hierarchy], *, home: Home = nowhere) -> None:
        """`state` is the server's state directory, `hierarchies` the host's cgroup hierarchies.

        `home` is where a new zygote and so all monitors live (else where the server is): stopping the server's own
        cgroup must not stop containers.
        """
        self._state = state
        self._hierarchies = hierarchies
        # For whoever needs a process of its making; so are `places`, where execs live.
        self.zygote = Zygote(os.path.join(state, "zygote"), home=home)
        self.places = Places(self.zygote, hierarchies)
        self._execs = ExecSyncs(self.places)
        self._watches: dict[str, Watch] = {}
        self.living = Living(self._watches)

    async def start(self) -> None:
        """Have a zygote: the one of an earlier server, or a new one. Internal when none can be started."""
        try:
            await self.zygote.ensure()
        except ConmonError as error:
            raise Internal(f"cannot start the monitors' zygote: {error}") from error

    async def retire(self) -> None:
        """End the zygote when there is nothing left for it to be kept for: no pod and no container."""
        self._let_go()
        with contextlib.suppress(ConmonError):
            await self.zygote.quit()

    async def create(self, request: MonitorRequest) -> int:
        """Create the container; returns its init's pid. RuntimeFailed carries the runtime's words; nothing is left.

        DeadlineExceeded when the runtime hangs, in a hook or in the kernel; then it has been killed. Unavailable when
        the monitor itself was killed meanwhile.
        """
        directory = self._directory(request.container_id)
        await self.forget(request.container_id)  # what an attempt that was killed has left
        try:
            await offload(files.make_private, directory)
            asked("process", f"fork() of the zygote: a monitor for the container, with its files in {directory}")
            call = f"{' '.join(request.command)} create --bundle {request.bundle} {request.container_id}"
            async with asyncio.timeout(_CREATE_TIMEOUT):
                with asking("runtime", call) as answer:
                    state, monitor = await self.zygote.create_container(_spec(request, directory))
                    answer.text = f"init is pid {state.pid}, its monitor is pid {state.monitor_pid}"
        except BaseException as error:
            await self._undone(request.container_id)
            await offload(trees.remove_tree, directory)
            if isinstance(error, ConnectionLost):
                raise Unavailable(f"the monitor of container {request.container_id} was killed: {error}") from error
            if isinstance(error, ConmonError):
                raise RuntimeFailed(str(error)) from error
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded(
                    f"{request.command[0]} create did not end within {_CREATE_TIMEOUT:g} s"
                ) from None
            raise
        self._watches[request.container_id] = Watch(directory, monitor, state)
        return state.pid

    async def observe(self, container_id: str) -> Observed:
        """Probe monitor, kernel and exit record; never fails for a missing thing."""
        watch = await self._watch(container_id)
        if watch is None:
            return Observed(monitored=False)
        ended = await offload(exits.read, watch.directory)
        if ended is None and not watch.alive():
            # Its monitor is about to write the record, or is dead: the watch finds out which.
            try:
                async with asyncio.timeout(_RECORD_TIMEOUT):
                    ended = await watch.exited()
            except TimeoutError:
                ended = exits.lost()
        if ended is not None:
            return Observed(exited=ended, monitored=not ended.monitor_lost)
        started = not await offload(_waits_for_start, self._state, container_id, watch.state.pid)
        return Observed(pid=watch.state.pid, monitored=watch.monitor_alive(), started=started)

    async def exited(self, container_id: str) -> ExitRecord:
        """Wait until the container has ended, however long; survives the monitor's death.

        All who wait for one container share one wait. Of a container that nothing is known of: code 255 at once.
        """
        watch = await self._watch(container_id)
        return await watch.exited() if watch else exits.lost()

    async def signal(self, container_id: str, signal: int) -> bool:
        """Signal the container's init through its pidfd; False when it has ended already."""
        watch = await self._watch(container_id)
        return watch is not None and watch.signal(signal)

    async def kill_all(self, container_id: str) -> None:
        """SIGKILL every process of the container: its init, and all in its cgroup. Idempotent.

        FailedPrecondition names processes that do not die.
        """
        await self.signal(container_id, SIGKILL)
        if cgroup := await self._cgroup(container_id):
            left = await offload(cgroupfs.kill, self._hierarchies, cgroup)
            if left:
                raise FailedPrecondition(f"processes {sorted(left)[:10]} of container {container_id} survive SIGKILL")

    async def reopen_log(self, container_id: str) -> None:
        """Let the monitor open the log path anew; FailedPrecondition when there is no live monitor, or no log."""
        watch = await self._watch(container_id)
        try:
            if watch is None:
                raise ConmonError("it has no monitor")
            await watch.monitor.reopen()
        except ConmonError as error:
            raise FailedPrecondition(f"the log of container {container_id} cannot be reopened: {error}") from error

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], process: str, *, timeout: float, limit: int
    ) -> ExecResult:
        """Run the OCI process document `process` (JSON) under runtime prefix `command`; see ExecSyncs.run."""
        directory, cgroup = self._directory(container_id), await self._cgroup(container_id)
        request = Request(container_id, directory, cgroup, command, process)
        return await self._execs.run(request, timeout=timeout, limit=limit)

    async def pod_init(self, sandbox_id: str, namespaces: dict[str, str], cgroup: str) -> int:
        """Fork a pod init that joins `namespaces` (kind → path) and holds a new PID namespace; returns its pid.

        `cgroup` exists. Internal carries what the zygote says.
        """
        spec = PodInitSpec(
            id=sandbox_id,
            net=namespaces.get("net", ""),
            ipc=namespaces.get("ipc", ""),
            uts=namespaces.get("uts", ""),
            user=namespaces.get("user", ""),
            cgroup_procs=cgroupfs.procs_files(self._hierarchies, cgroup_names.directory(cgroup)),
        )
        joined = ", ".join(f"setns({path})" for path in namespaces.values())
        asked("process", f"fork() of the zygote, then {joined}, unshare(CLONE_NEWPID), fork() again: pid 1 of the pod")
        asked("cgroup", f"echo $pid | tee {braced(spec.cgroup_procs)}")
        try:
            pid, _ = await self.zygote.pod_init(spec)
        except ConmonError as error:
            raise Internal(f"cannot start the pod init of sandbox {sandbox_id}: {error}") from error
        return pid

    async def forget(self, container_id: str) -> None:
        """End the monitor if it lives, and remove its files. Idempotent."""
        watch = await self._watch(container_id)
        self._watches.pop(container_id, None)
        if watch is not None:
            await watch.end()
        await offload(trees.remove_tree, self._directory(container_id))

    async def list(self) -> frozenset[str]:
        """Ids of containers that have monitor files, for garbage collection."""
        return await offload(_with_monitor, os.path.join(self._state, "containers"))

    def _let_go(self) -> None:
        """Forget what is connected, as the end of the process does; containers and monitors do not notice."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()

    def _directory(self, container_id: str) -> str:
        """The monitor directory of a container."""
        return f"{self._bundle(container_id)}/monitor"

    def _bundle(self, container_id: str) -> str:
        return f"{self._state}/containers/{container_id}"

    async def _cgroup(self, container_id: str) -> str:
        """The container's cgroup, as its runtime was told; "" when that is not known."""
        watch = await self._watch(container_id)
        if watch is None:
            return await offload(exits.container_cgroup, self._bundle(container_id))
        if watch.cgroup is None:
            watch.cgroup = await offload(exits.container_cgroup, self._bundle(container_id))
        return watch.cgroup

    async def _undone(self, container_id: str) -> None:
        """Wait until no monitor is at work for the container: one that was given up undoes what it has begun."""
        with contextlib.suppress(ConmonError):
            for _ in range(_UNDO_ROUNDS):
                if all(child.get("id") != container_id for child in await self.zygote.children()):
                    return
                await asyncio.sleep(_PAUSE)

    async def _watch(self, container_id: str) -> Watch | None:
        """The container's entry in the registry, made from its state record if need be; None when it has none."""
        if found := self._watches.get(container_id):
            return found
        directory = self._directory(container_id)
        state = await offload(exits.read_state, directory)
        if state is None:
            return None
        # Somebody else may have been faster while the record was read.
        return self._watches.setdefault(container_id, Watch(directory, Monitor(directory), state))


def _spec(request: MonitorRequest, directory: str) -> ContainerSpec:
    return ContainerSpec(
        id=request.container_id,
        directory=directory,
        bundle=request.bundle,
        runtime=request.command,
        log_path=request.log_path,
        terminal=request.terminal,
        stdin=request.stdin,
        stdin_once=request.stdin_once,
        stdio_uid=request.stdio_uid,
        stdio_gid=request.stdio_gid,
    )


def _waits_for_start(state: str, container_id: str, pid: int) -> bool:
    """Whether a runtime's init still waits: its exec.fifo is there until `start` (runc and crun alike).

    A server that was killed between letting the process begin and removing the FIFO has left it behind: what once was
    runc's init, whose records are called state.json, then has another name.
    """
    roots = f"{state}/runtime"
    try:
        handlers = os.listdir(roots)
    except FileNotFoundError:
        return False
    known = [f"{roots}/{handler}/{container_id}" for handler in handlers]
    begun = proc.comm(pid) != "runc:[2:INIT]"
    return any(
        os.path.exists(f"{each}/exec.fifo") and not (begun and os.path.exists(f"{each}/state.json")) for each in known
    )


def _with_monitor(base: str) -> frozenset[str]:
    with contextlib.suppress(FileNotFoundError):
        return frozenset(name for name in os.listdir(base) if os.path.isdir(os.path.join(base, name, "monitor")))
    return frozenset()
