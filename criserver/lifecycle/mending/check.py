"""State against kernel: what pods, containers and images should have and lack, and what is there that nobody claims.

Two looks with a pause between them: what a running request is about to make or to take away is another thing by the
second one, so only what both have seen is told. Nothing waits for a check, and it takes no lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from criserver.lifecycle.forward import FORWARD, REMOVE_CONTAINER, REMOVE_POD, STOP_POD
from criserver.lifecycle.images.check import ImageCheck
from criserver.lifecycle.mending import claims
from criserver.lifecycle.mending.claims import Claim
from criserver.lifecycle.mending.gc import GarbageCollector
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.powers import Powers
from criserver.model.container import Container, ContainerState
from criserver.model.findings import Finding, Kind, Thing, Verdict
from criserver.model.sandbox import Sandbox, SandboxState
from criserver.ports.inventory import Inventory
from criserver.state.containers import Containers
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes

PAUSE_SECONDS = 1.0

_HINTS = {
    Verdict.MISSING: "remove the pod or container; the kubelet makes another",
    Verdict.LEFT_OVER: "criserver check --repair gives it back",
    Verdict.UNFINISHED: "it is tried again every minute, and by the next request; the log says what fails",
}
_FOREIGN = {
    Kind.ADDRESS: "remove the file, unless another runtime on this host has the id",
    Kind.MOUNT: "unmount it",
}
_ON_THE_WAY = {
    SandboxState.STOPPING: (STOP_POD, REMOVE_POD),
    SandboxState.REMOVING: (REMOVE_POD,),
    ContainerState.REMOVING: (REMOVE_CONTAINER,),
}


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong, and, after a repair, what that did."""

    findings: tuple[Finding, ...]
    done: tuple[str, ...] = ()


class Checker:
    """Checks the whole node, and repairs what can be repaired without asking anybody."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        journal: Journal,
        powers: Powers,
        inventory: Inventory,
        images: ImageCheck,
        garbage: GarbageCollector,
        operations: Operations,
        *,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        """`pause` is how long a request may take to make a thing that it has a row for, in seconds."""
        self._sandboxes, self._containers, self._journal = sandboxes, containers, journal
        self._powers, self._inventory, self._images = powers, inventory, images
        self._garbage, self._operations, self._pause = garbage, operations, pause

    async def check(self, *, repair: bool = False) -> Report:
        """Look; with `repair` give back what is left over, mend images, and look again. One check at a time."""
        return await self._operations.join(("Check", repair), lambda: self._check(repair))

    async def kernel(self) -> tuple[Finding, ...]:
        """What is wrong with pods and containers alone, images left out: as cheap as it is quick."""
        return await _twice(self._look, self._pause)

    async def _check(self, repair: bool) -> Report:
        findings = await self._confirmed()
        if not repair or not findings:
            return Report(findings)
        keys = {each.key for each in findings if each.verdict is Verdict.LEFT_OVER and each.key}
        done = [*await self._garbage.give_back(keys), *await self._images.repair(findings)]
        return Report(await self._confirmed(), tuple(done))

    async def _confirmed(self) -> tuple[Finding, ...]:
        return (*await self.kernel(), *await self._images.check(self._pause))

    async def _look(self) -> tuple[Finding, ...]:
        things = await self._inventory.things()
        things = (*things, *await self._cgroups(things))
        claimed: dict[str, Claim] = {row.id: claims.of_pod(row) for row in self._sandboxes}
        claimed |= {row.id: claims.of_container(row) for row in self._containers}
        left = [self._left(thing) for thing in claims.left_over(things, claimed)]
        lacking = [self._finding(Verdict.MISSING, kind, key, "") for key, kind in claims.missing(things, claimed)]
        return (*lacking, *left, *self._stuck(), *await self._undone(), *self._set_aside())

    async def _cgroups(self, things: tuple[Thing, ...]) -> list[Thing]:
        """The cgroups that are there, of rows, and of what is there without one."""
        cgroups = self._powers.cgroups
        paths = {(Kind.POD_CGROUP, row.id): row.cgroup_parent for row in self._sandboxes if row.cgroup_parent}
        paths |= {(Kind.CGROUP, row.id): row.cgroups_path for row in self._containers if row.cgroups_path}
        known = {key for _, key in paths}
        paths |= {
            (Kind.POD_CGROUP, thing.owner): cgroups.default_parent(thing.owner)
            for thing in things
            if thing.kind is Kind.POD_FILES and thing.owner not in known
        }
        return [Thing(kind, key, path) for (kind, key), path in paths.items() if not await cgroups.missing(path)]

    def _left(self, thing: Thing) -> Finding:
        hint = _FOREIGN.get(thing.kind, "") if self._row(thing.owner) is None else "stop the pod or container"
        return self._finding(Verdict.LEFT_OVER, thing.kind, thing.owner, thing.where, hint)

    def _stuck(self) -> Iterator[Finding]:
        """Deletes that were begun and on which nobody works."""
        for row in (*self._sandboxes, *self._containers):
            working = _ON_THE_WAY.get(row.state, ())
            if working and not any(self._operations.running((operation, row.id)) for operation in working):
                yield self._finding(Verdict.UNFINISHED, f"{row.state.lower()} it", row.id, "")

    async def _undone(self) -> list[Finding]:
        """Steps of creates that could not be taken back."""
        steps = [step for step in await self._journal.open_steps() if step.operation not in FORWARD]
        return [
            self._finding(Verdict.UNFINISHED, f"undo of {step.step} of {step.operation}", step.subject, "journal")
            for step in steps
            if self._row(step.subject) is None
        ]

    def _set_aside(self) -> Iterator[Finding]:
        for repository in (self._sandboxes, self._containers):
            for key, error in repository.damaged.items():
                hint = "the record is kept in the table 'damaged' of the database"
                yield Finding(Verdict.DAMAGED, f"record of {repository.noun}", key[:13], "", error, hint)

    def _finding(self, verdict: Verdict, what: str, key: str, where: str, hint: str = "") -> Finding:
        return Finding(verdict, str(what), self._owner(key), key, where, hint or _HINTS[verdict])

    def _row(self, key: str) -> Sandbox | Container | None:
        # By the whole id: `find` takes prefixes too, and what is left over may have any name.
        row = self._sandboxes.find(key) or self._containers.find(key)
        return row if row is not None and row.id == key else None

    def _owner(self, key: str) -> str:
        """Whose it is, as a person says it: namespace/pod[/container], else the id."""
        row = self._row(key)
        if isinstance(row, Container):
            pod = self._row(row.sandbox_id)
            return f"{self._owner(pod.id) if pod else row.sandbox_id[:13]}/{row.config.metadata.name}"
        if row is not None:
            return f"{row.config.metadata.namespace}/{row.config.metadata.name}"
        return key[:13] or "nobody"


async def _twice(look: Callable[[], Awaitable[tuple[Finding, ...]]], pause: float) -> tuple[Finding, ...]:
    first = await look()
    if not first:
        return ()
    await asyncio.sleep(pause)
    second = {(each.verdict, each.what, each.key) for each in await look()}
    return tuple(each for each in first if (each.verdict, each.what, each.key) in second)
