"""Pod sandboxes: run, stop, remove.

RunPodSandbox: name reserved and journal begun in one commit → files → namespaces → pod cgroup → pod init → CNI ADD →
READY in one commit. Stop and remove go forward and may be asked any number of times.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager

from criserver.errors import FailedPrecondition
from criserver.lifecycle.forward import REMOVE_POD, STOP_POD, go
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.reports.deliveries import Deliveries
from criserver.lifecycle.reports.traces import Traces
from criserver.lifecycle.running.containers import ContainerLifecycle
from criserver.lifecycle.running.pod_steps import CGROUP, FILES, NAMESPACES, NETWORK, POD_INIT, pod_undoers
from criserver.lifecycle.tasks import together
from criserver.lifecycle.undo import UndoStack
from criserver.model.sandbox import Sandbox, SandboxConfig, SandboxState
from criserver.model.security import NamespaceMode
from criserver.model.transitions import check_sandbox
from criserver.observe.context import log_context
from criserver.observe.timings import Stages, asked
from criserver.ports.network import Attachment
from criserver.ports.runtime import Handler
from criserver.spec import sysctls
from criserver.state.codec import encode
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes

log = logging.getLogger(__name__)
NO_SYSCTLS: Mapping[str, str] = {}
_USERNS = "config.linux.security_context.namespace_options.userns_options"


class PodLifecycle:
    """What can be done with pod sandboxes."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        journal: Journal,
        powers: Powers,
        containers: ContainerLifecycle,
        operations: Operations,
        deliveries: Deliveries,
        traces: Traces,
        *,
        node_name: str,
        default_sysctls: Callable[[], Mapping[str, str]] = lambda: NO_SYSCTLS,
    ) -> None:
        """`default_sysctls` are set in pods that have the namespace for themselves and say nothing else."""
        self._sandboxes, self._journal, self._powers = sandboxes, journal, powers
        self._containers, self._operations, self._node_name = containers, operations, node_name
        self._deliveries, self._traces, self._default_sysctls = deliveries, traces, default_sysctls
        self._undoers = pod_undoers(powers)

    async def run(self, config: SandboxConfig, handler: str) -> str:
        """Make a sandbox and return its id; an identical request in flight, or one nobody got the answer of, is joined.

        AlreadyExists when another sandbox has the name, NetworkFailed with the plugin's words, Internal.
        """
        key = ("RunPodSandbox", config.metadata)
        with log_context(pod=f"{config.metadata.namespace}/{config.metadata.name}"):
            return await self._operations.join(key, lambda: self._run(config, handler))

    def delivered(self, sandbox_id: str) -> None:
        """Note that a caller has the id, so that asking for the name again is an error from now on."""
        self._deliveries.note(sandbox_id)

    async def stop(self, sandbox_id: str) -> None:
        """Kill what runs in the sandbox, give its network back, drop its namespaces. Unknown ids are fine."""
        if sandbox := self._sandboxes.find(sandbox_id):
            with self._logged(sandbox):
                await self._operations.join((STOP_POD, sandbox.id), lambda: self._stop(sandbox.id))

    async def remove(self, sandbox_id: str) -> None:
        """Stop the sandbox if need be, remove its containers and all that is left of it. Unknown ids are fine."""
        if sandbox := self._sandboxes.find(sandbox_id):
            with self._logged(sandbox):
                await self._operations.join((REMOVE_POD, sandbox.id), lambda: self._remove(sandbox.id))

    async def _run(self, config: SandboxConfig, handler_name: str) -> str:
        existing = self._sandboxes.named(config.metadata)
        unread = existing is not None and not self._deliveries.noted(existing)
        if existing and unread and self._answers(existing, config, handler_name):
            return existing.id
        handler = self._powers.runtime.handler(handler_name)
        _check(config, handler)
        if config.cgroup_parent:
            self._powers.cgroups.check_parent(config.cgroup_parent)
        sandbox = Sandbox(
            id=secrets.token_hex(32),
            config=config,
            runtime_handler=handler.name,
            state=SandboxState.CREATING,
            created_at=self._powers.clock.now(),
        )
        undo = UndoStack(self._journal, self._undoers, "RunPodSandbox", sandbox.id)
        with log_context(sandbox_id=sandbox.id), self._traces.operation("RunPodSandbox", sandbox) as stages:
            try:
                async with undo:
                    with stages.stage("reserve"):
                        asked("database", "one commit: the pod's row and name, CREATING, and its journal's first step")
                        await self._sandboxes.insert(sandbox, undo.first(FILES))
                    await self._build(sandbox, undo, stages)
            except BaseException:
                # Whatever could not be undone stays in the journal, for garbage collection; the name is free again.
                await self._sandboxes.delete(sandbox.id)
                raise
            log.info("pod sandbox is ready", extra=stages.fields())
        return sandbox.id

    async def _build(self, sandbox: Sandbox, undo: UndoStack, stages: Stages) -> None:
        powers, config, key = self._powers, sandbox.config, sandbox.id
        options = config.security.namespace_options
        hostname = config.hostname or self._node_name
        kinds = {"uts"}
        kinds |= {"net"} if options.network is not NamespaceMode.NODE else set()
        kinds |= {"ipc"} if options.ipc is not NamespaceMode.NODE else set()
        values = sysctls.with_defaults(self._default_sysctls(), config.sysctls, options)
        with stages.stage("namespaces"):
            await undo.step(
                NAMESPACES,
                lambda: powers.namespaces.pin(
                    key, kinds, hostname=hostname, sysctls=values, userns=options.own_userns
                ),
            )
        parent = config.cgroup_parent or powers.cgroups.default_parent(key)
        # The plugins take most of the time, and need nothing but the network namespace.
        (owns, pid_init), attachment = await together(
            self._home(sandbox, undo, stages, parent, kinds), self._attach(sandbox, undo, stages)
        )
        with stages.stage("commit"):
            asked("database", "one commit: the row is READY, and the journal has nothing left to undo")
            await self._sandboxes.update(
                key,
                settle=True,
                state=SandboxState.READY,
                cgroup_parent=parent,
                owns_cgroup=owns,
                pid_init=pid_init,
                network=attachment.network,
                ips=attachment.ips,
            )

    async def _home(
        self, sandbox: Sandbox, undo: UndoStack, stages: Stages, parent: str, kinds: set[str]
    ) -> tuple[bool, int]:
        """Files, cgroup and pod init; returns whether the cgroup is this server's, and the pod init's pid or 0."""
        powers, config, key = self._powers, sandbox.config, sandbox.id
        with stages.stage("files"):
            await powers.pod_files.create(key, config, config.hostname or self._node_name)
        owns = await powers.cgroups.missing(parent)
        if owns:
            with stages.stage("cgroup"):
                await undo.step(CGROUP, lambda: powers.cgroups.ensure(parent), parent)
        if config.security.namespace_options.pid is not NamespaceMode.POD:
            return owns, 0
        with stages.stage("pod init"):
            return owns, await self._pod_init(sandbox, undo, parent, kinds)

    async def _attach(self, sandbox: Sandbox, undo: UndoStack, stages: Stages) -> Attachment:
        powers, config, key = self._powers, sandbox.config, sandbox.id
        if config.host_network:
            return Attachment("", ())
        netns = powers.namespaces.path(key, "net")
        with stages.stage("network"):
            return await undo.step(NETWORK, lambda: powers.network.add(key, config, netns), encode(config).decode())

    async def _pod_init(self, sandbox: Sandbox, undo: UndoStack, parent: str, kinds: set[str]) -> int:
        powers, key = self._powers, sandbox.id
        leaf = powers.cgroups.pod_init_path(parent, key)
        if sandbox.config.security.namespace_options.own_userns:
            kinds = kinds | {"user"}
        joined = {kind: powers.namespaces.path(key, kind) for kind in sorted(kinds)}

        async def fork() -> int:
            await powers.cgroups.ensure(leaf)
            try:
                pid = await powers.monitors.pod_init(key, joined, leaf)
            finally:
                await powers.cgroups.inhabited(leaf)
            await powers.namespaces.pin_pid(key, pid)
            return pid

        return await undo.step(POD_INIT, fork, leaf)

    async def _stop(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox.state in (SandboxState.NOTREADY, SandboxState.REMOVING):
            return
        check_sandbox(sandbox_id, sandbox.state, SandboxState.STOPPING)
        await self._sandboxes.update(sandbox_id, state=SandboxState.STOPPING)
        await go(self._journal, STOP_POD, sandbox_id, self._stop_steps(sandbox))
        await self._sandboxes.update(sandbox_id, state=SandboxState.NOTREADY, pid_init=0)
        log.info("pod sandbox is stopped")

    def _stop_steps(self, sandbox: Sandbox) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
        powers, key = self._powers, sandbox.id

        async def containers() -> None:
            await self._containers.settled(key)
            await asyncio.gather(*(self._containers.kill(row.id) for row in self._containers.of(key)))

        async def network() -> None:
            if not sandbox.config.host_network:
                await powers.network.remove(key, sandbox.config, powers.namespaces.path(key, "net"))

        async def pod_init() -> None:
            leaf = powers.cgroups.pod_init_path(sandbox.cgroup_parent, key)
            await self._undoers[POD_INIT](key, leaf)

        return [
            ("containers", containers),
            *([(POD_INIT, pod_init)] if sandbox.pid_init else []),
            (NETWORK, network),
            (NAMESPACES, lambda: powers.namespaces.unpin(key)),
            ("shm", lambda: powers.pod_files.unmount(key)),
        ]

    async def _remove(self, sandbox_id: str) -> None:
        # A stop in flight is joined; one that failed before is tried again.
        await self._operations.join((STOP_POD, sandbox_id), lambda: self._stop(sandbox_id))
        sandbox = self._sandboxes.get(sandbox_id)
        check_sandbox(sandbox_id, sandbox.state, SandboxState.REMOVING)
        await self._sandboxes.update(sandbox_id, state=SandboxState.REMOVING)
        powers = self._powers

        async def containers() -> None:
            await asyncio.gather(*(self._containers.remove(row.id) for row in self._containers.of(sandbox_id)))

        async def cgroup() -> None:
            if sandbox.owns_cgroup:
                await powers.cgroups.remove(sandbox.cgroup_parent)

        await go(
            self._journal,
            REMOVE_POD,
            sandbox_id,
            [("containers", containers), (CGROUP, cgroup), (FILES, lambda: powers.pod_files.remove(sandbox_id))],
        )
        await self._sandboxes.delete(sandbox_id)
        log.info("pod sandbox is removed")

    def _answers(self, row: Sandbox, config: SandboxConfig, handler_name: str) -> bool:
        """Whether a ready sandbox is what this request asks for."""
        handler = self._powers.runtime.handler(handler_name)
        return row.state is SandboxState.READY and row.config == config and row.runtime_handler == handler.name

    def _logged(self, sandbox: Sandbox) -> AbstractContextManager[None]:
        meta = sandbox.config.metadata
        return log_context(pod=f"{meta.namespace}/{meta.name}", sandbox_id=sandbox.id)


def _check(config: SandboxConfig, handler: Handler) -> None:
    if config.security.namespace_options.own_userns and handler.lacks_user_namespaces:
        raise FailedPrecondition(
            f"{_USERNS}.mode: POD, but with runtime handler {handler.name!r} {handler.lacks_user_namespaces}; "
            "use another handler, or mode NODE (hostUsers: true in a pod)"
        )
