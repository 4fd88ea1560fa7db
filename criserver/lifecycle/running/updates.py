"""New limits for what lives already: UpdateContainerResources and UpdatePodSandboxResources.

The kernel first, the row after it: what a row says was in force at its commit. An update that a killed server cut
short in between is asked again by the caller, with the same numbers; a caller that gives up cuts none short.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from criserver.errors import FailedPrecondition
from criserver.lifecycle.locks import Locks
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.running.kept_limits import keep_limits
from criserver.model.container import Container, ContainerState
from criserver.model.resources import LinuxResources
from criserver.model.sandbox import SandboxState
from criserver.observe.context import log_context
from criserver.ports.stats import Stats
from criserver.spec.process import oom_score_adj
from criserver.spec.resources import merged, resources, together
from criserver.spec.wish import HostFacts, Policy
from criserver.state.codec import encode
from criserver.state.containers import Containers
from criserver.state.sandboxes import Sandboxes

log = logging.getLogger(__name__)
NO_POLICY = Policy()
_LIVE = frozenset({ContainerState.CREATED, ContainerState.RUNNING})


class ResourceUpdates:
    """Sets limits of running things."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        powers: Powers,
        readings: Stats,
        operations: Operations,
        locks: Locks,
        facts: Callable[[], HostFacts],
        policies: Callable[[str], Policy],
    ) -> None:
        self._sandboxes, self._containers, self._powers = sandboxes, containers, powers
        self._readings, self._operations, self._locks, self._facts = readings, operations, locks, facts
        self._policies = policies

    async def container(self, container_id: str, asked: LinuxResources) -> None:
        """Set what is asked for, leave the rest.

        oom_score_adj is set for the processes that have the old one, as a resize of memory changes it for burstable
        pods; the peers leave it.

        NotFound, InvalidArgument; FailedPrecondition for a container that has ended, for a memory limit below what it
        uses, and for huge pages, which runtimes set at creation only; RuntimeFailed.
        """
        row = self._containers.get(container_id)
        key = ("UpdateContainerResources", row.id, encode(asked))
        with log_context(container=row.config.metadata.name, container_id=row.id):
            await self._operations.join(key, lambda: self._container(row.id, asked))

    async def sandbox(self, sandbox_id: str, overhead: LinuxResources | None, limits: LinuxResources | None) -> None:
        """Set the limits of the pod's cgroup to `limits` and `overhead` together; None leaves the one as it is.

        NotFound, InvalidArgument; FailedPrecondition for a pod that is not ready, or with the kernel's words.
        """
        row = self._sandboxes.get(sandbox_id)
        key = ("UpdatePodSandboxResources", row.id, encode((overhead, limits)))
        with log_context(sandbox_id=row.id):
            await self._operations.join(key, lambda: self._sandbox(row.id, overhead, limits))

    async def _sandbox(self, sandbox_id: str, overhead: LinuxResources | None, limits: LinuxResources | None) -> None:
        async with self._locks.hold(sandbox_id):
            row = self._sandboxes.get(sandbox_id)
            if row.state is not SandboxState.READY:
                raise FailedPrecondition(f"pod sandbox {row.id} is {row.state}: only a READY one takes new limits")
            overhead = overhead or row.overhead or row.config.overhead
            limits = limits or row.resources or row.config.resources
            whole = self._document(together(limits or LinuxResources(), overhead or LinuxResources()), "resources")
            if whole:
                await self._powers.cgroups.limit(row.cgroup_parent, whole)
            await self._sandboxes.update(row.id, overhead=overhead, resources=limits)
        log.info("pod has new limits", extra={"limits": whole})

    async def _container(self, container_id: str, asked: LinuxResources) -> None:
        async with self._locks.hold(container_id):
            await self._change(self._containers.get(container_id), asked)

    async def _change(self, row: Container, asked: LinuxResources) -> None:
        if row.state not in _LIVE:
            raise FailedPrecondition(f"container {row.id} is {row.state}: only one that lives takes new limits")
        wanted = merged(row.resources, asked)
        if wanted.hugepage_limits != row.resources.hugepage_limits:
            raise FailedPrecondition(
                "linux.hugepage_limits: no runtime changes them while a container lives; make the container anew"
            )
        # Of the policy only what a limit must not fall below: what else it says was in force at the creation.
        minimum = self._policies(row.runtime_handler).minimum_memory
        limits = self._document(wanted, "linux", Policy(minimum_memory=minimum))
        if asked.memory_limit_in_bytes > 0:
            await self._check_memory(row, asked.memory_limit_in_bytes)
        if limits:
            await self._apply(row, limits)
        before, after = (oom_score_adj(each.oom_score_adj, self._facts()) for each in (row.resources, wanted))
        if before != after:
            await self._powers.cgroups.oom_score(row.cgroups_path, before, after)
        await self._containers.update(row.id, resources=wanted)
        log.info("container has new limits", extra={"limits": limits})

    async def _apply(self, row: Container, limits: Mapping[str, Any]) -> None:
        runtime, cpu = self._powers.runtime, limits.get("cpu", {})
        if cpu.get("quota") == -1 and runtime.handler(row.runtime_handler).type == "crun":
            # crun 1.8 writes it as an unsigned number, which the kernel refuses.
            limits = {**limits, "cpu": {key: value for key, value in cpu.items() if key != "quota"}}
            await self._powers.cgroups.limit(row.cgroups_path, {"cpu": {"quota": -1}})
        await runtime.update(row.runtime_handler, row.id, limits)
        await keep_limits(self._powers.cgroups, row.cgroups_path, limits)

    def _document(self, wanted: LinuxResources, field: str, policy: Policy = NO_POLICY) -> Mapping[str, Any]:
        document = resources(wanted, self._facts(), policy, field, update=True)
        return {key: part for key, part in document.items() if key != "hugepageLimits"}

    async def _check_memory(self, row: Container, limit: int) -> None:
        """Cgroup v2 would take the limit and kill; v1 would write out what it can first."""
        usage = (await self._readings.cgroups([row.cgroups_path], detailed=False)).get(row.cgroups_path)
        used = usage.memory.working_set if usage and usage.memory else 0
        if limit < used:
            raise FailedPrecondition(
                f"linux.memory_limit_in_bytes: {limit} is below the {used} bytes that container {row.id} uses; "
                "give more, or let it free memory first"
            )
