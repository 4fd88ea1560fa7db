"""What a starting server does with what an earlier one left, before its socket opens.

It assumes nothing of how that one ended: killed at any instruction, upgraded, or gone with the machine's power.
What is true comes from the kernel, the monitors and their exit records; the rows say what was promised. Order:

1. damaged rows are set aside, and with a pod its containers;  2. what an earlier server started on the network is
waited for;  3. unfinished creates are undone by their journal, newest step first;  4. containers: a pure table
(state, observed) → action;  5. sandboxes that have lost their namespaces are stopped;  6. unfinished stops and removes
go on in the background;  7. `gc` sweeps what no row claims.
One broken record never stops the server.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from enum import Enum, auto
from functools import partial

from criserver.lifecycle.forward import FORWARD
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.running.container_steps import image_holder
from criserver.lifecycle.running.containers import ContainerLifecycle
from criserver.lifecycle.running.exits import Exits
from criserver.lifecycle.running.pods import PodLifecycle
from criserver.lifecycle.tasks import Tasks
from criserver.lifecycle.undo import Undoers, take_back
from criserver.model.container import Container, ContainerState
from criserver.model.sandbox import Sandbox, SandboxState
from criserver.ports.monitor import ExitRecord, Observed
from criserver.state.containers import Containers
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes

log = logging.getLogger(__name__)


class Action(Enum):
    """What to do with a container's row."""

    KEEP = auto()
    WATCH = auto()
    MARK_RUNNING = auto()
    SETTLE = auto()
    LOST = auto()
    REMOVE = auto()


def decide(state: ContainerState, seen: Observed) -> Action:
    """The action for a row in `state` when `seen` is true of its container."""
    if state is ContainerState.REMOVING:
        return Action.REMOVE
    if state is ContainerState.EXITED:
        return Action.KEEP
    if seen.exited is not None:
        return Action.SETTLE
    if not seen.pid:
        return Action.LOST
    if state is ContainerState.CREATED and seen.started:
        return Action.MARK_RUNNING
    return Action.WATCH


class Recovery:
    """Runs once, at start."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        journal: Journal,
        powers: Powers,
        pods: PodLifecycle,
        lives: ContainerLifecycle,
        exits: Exits,
        tasks: Tasks,
        undoers: Undoers,
    ) -> None:
        self._sandboxes, self._containers, self._journal = sandboxes, containers, journal
        self._powers, self._pods, self._lives = powers, pods, lives
        self._exits, self._tasks, self._undoers = exits, tasks, undoers

    async def run(self) -> None:
        """Bring rows and kernel together again."""
        await self._set_aside()
        await self._guarded("the network", self._powers.network.settle)
        await self._undo_creates()
        for row in self._containers:
            await self._guarded(f"container {row.id}", partial(self._container, row))
        await self._guarded("pod sandboxes", self._all_sandboxes)

    def image_holders(self) -> tuple[str, ...]:
        """Who holds an image, of those that are left."""
        return tuple(image_holder(row.id) for row in self._containers)

    async def _set_aside(self) -> None:
        for row in self._containers:
            if row.sandbox_id in self._sandboxes.damaged:
                self._containers.damaged[row.id] = f"its pod sandbox {row.sandbox_id} is damaged"
        for repository in (self._containers, self._sandboxes):
            for key, error in repository.damaged.items():
                log.error("%s %s is set aside: %s", repository.noun, key, error)
            await repository.quarantine()

    async def _undo_creates(self) -> None:
        steps = [step for step in await self._journal.open_steps() if step.operation not in FORWARD]
        left = {step.subject for step in await take_back(steps, self._undoers, self._journal)}
        for row in self._containers:
            if row.state is ContainerState.CREATING:
                await self._containers.delete(row.id)
        for sandbox in self._sandboxes:
            if sandbox.state is SandboxState.CREATING:
                await self._sandboxes.delete(sandbox.id)
        if steps:
            log.info("undid %d steps of unfinished creates, %d objects need another try", len(steps), len(left))

    async def _container(self, row: Container) -> None:
        seen = await self._powers.monitors.observe(row.id)
        action = decide(row.state, seen)
        if action is Action.REMOVE:
            self._tasks.spawn(self._lives.remove(row.id), name=f"remove {row.id[:12]}")
        elif action is Action.SETTLE and seen.exited is not None:
            await self._exits.settle(row, seen.exited)
        elif action is Action.LOST:
            # Nothing is left of it and nothing says how it ended: the machine went down, or /run was emptied.
            now = self._powers.clock.now()
            await self._exits.settle(row, ExitRecord(exit_code=255, finished_at=now, monitor_lost=True))
        elif action is Action.MARK_RUNNING:
            started = row.started_at or self._powers.clock.now()
            await self._containers.update(row.id, state=ContainerState.RUNNING, pid=seen.pid, started_at=started)
        if action in (Action.MARK_RUNNING, Action.WATCH):
            self._exits.watch(row.id)

    async def _all_sandboxes(self) -> None:
        pinned = await self._powers.namespaces.pinned()  # reads the whole mount table: once for all
        for row in self._sandboxes:
            kinds = pinned.get(row.id, frozenset())
            await self._guarded(f"pod sandbox {row.id}", partial(self._sandbox, row, kinds))

    async def _sandbox(self, row: Sandbox, pinned: AbstractSet[str]) -> None:
        if row.state is SandboxState.REMOVING:
            self._tasks.spawn(self._pods.remove(row.id), name=f"remove pod {row.id[:12]}")
        elif row.state is SandboxState.STOPPING:
            self._tasks.spawn(self._pods.stop(row.id), name=f"stop pod {row.id[:12]}")
        elif row.state is SandboxState.READY and not _intact(row, pinned):
            log.warning("pod sandbox %s has lost its namespaces (a reboot?): it is stopped", row.id)
            self._tasks.spawn(self._pods.stop(row.id), name=f"stop pod {row.id[:12]}")

    async def _guarded(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            log.error("%s cannot be recovered, it stays as it is: %s", what, error, exc_info=error)


def _intact(row: Sandbox, pinned: AbstractSet[str]) -> bool:
    """Whether a pod has all the namespaces that it was made with."""
    wanted = {"uts"} | (set() if row.config.host_network else {"net"}) | ({"pid"} if row.pid_init else set())
    wanted |= {"user"} if row.config.security.namespace_options.own_userns else set()
    return wanted <= pinned
