"""Watching containers end: one watcher per container that lives, which copies the exit record to the row.

The monitor's exit record is the truth; the row is its copy. Whoever waits for an end waits for the row's commit, so
that a status asked afterwards tells it.
"""

from __future__ import annotations

import asyncio
import logging

from criserver.errors import CriError
from criserver.lifecycle.locks import Locks
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.tasks import Tasks
from criserver.model.container import Container, ContainerState
from criserver.observe.context import log_context
from criserver.observe.metrics import Metrics
from criserver.ports.monitor import ExitRecord
from criserver.state.containers import Containers

log = logging.getLogger(__name__)
ENDED = frozenset({ContainerState.EXITED, ContainerState.REMOVING})


_UNKNOWN = (
    "it has ended, but how is not known (exit code 255 stands for that): its monitor and the monitors' zygote were "
    "killed, or the node went down"
)


class Exits:
    """The registry of watchers."""

    def __init__(
        self, containers: Containers, powers: Powers, tasks: Tasks, locks: Locks, metrics: Metrics
    ) -> None:
        self._containers, self._powers, self._metrics = containers, powers, metrics
        self._tasks, self._locks = tasks, locks
        self._ended: dict[str, asyncio.Event] = {}
        self._stopping: set[str] = set()

    def first_stop(self, container_id: str) -> bool:
        """Whether this is the first stop asked of the container: later ones must not repeat its stop signal."""
        first = container_id not in self._stopping
        self._stopping.add(container_id)
        return first

    def watch(self, container_id: str) -> None:
        """Follow a container from now on. Idempotent."""
        if container_id not in self._ended:
            self._ended[container_id] = asyncio.Event()
            self._tasks.spawn(self._watch(container_id), name=f"watch {container_id[:12]}", endless=True)

    async def wait(self, container_id: str, seconds: float | None) -> bool:
        """Wait until the container's end is in its row; False when `seconds` ran out before."""
        event = self._ended.get(container_id)
        if event is None:
            return True
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _watch(self, container_id: str) -> None:
        try:
            record = await self._powers.monitors.exited(container_id)
            async with self._locks.hold(container_id):
                row = self._containers.find(container_id)
                if row is not None and row.state not in ENDED:
                    await self.settle(row, record)
        finally:
            self._stopping.discard(container_id)
            self._ended.pop(container_id).set()

    async def settle(self, row: Container, record: ExitRecord) -> None:
        """Copy an exit record to its row, then let the runtime clean up; the caller holds the container's lock."""
        with log_context(container=row.config.metadata.name, container_id=row.id):
            await self._settle(row, record)

    async def _settle(self, row: Container, record: ExitRecord) -> None:
        await self._containers.update(
            row.id,
            state=ContainerState.EXITED,
            pid=0,
            exit_code=record.exit_code,
            finished_at=record.finished_at,
            reason=reason(record),
            message=_UNKNOWN if record.monitor_lost else "",
        )
        if event := self._ended.get(row.id):
            event.set()
        self._metrics.events.exited(oom_killed=record.oom_killed, monitor_lost=record.monitor_lost)
        log.info("container has exited", extra={"exit_code": record.exit_code, "oom_killed": record.oom_killed})
        try:
            await self._powers.runtime.delete(row.runtime_handler, row.id)
        except CriError as error:
            log.warning("the runtime cannot clean up yet, removal will try again: %s", error)


def reason(record: ExitRecord) -> str:
    """ContainerStatus.reason as the kubelet shows it; "Unknown" as containerd has it for an exit that nobody saw."""
    if record.monitor_lost:
        return "Unknown"
    if record.oom_killed:
        return "OOMKilled"
    return "Completed" if record.exit_code == 0 else "Error"
