"""A whole lifecycle over fakes and a real database: what unit tests of `lifecycle/` stand on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from criserver.lifecycle.locks import Locks
from criserver.lifecycle.mending.gc import GarbageCollector
from criserver.lifecycle.mending.recovery import Recovery
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.reports.deliveries import Deliveries
from criserver.lifecycle.reports.traces import Traces
from criserver.lifecycle.running.building import Builder
from criserver.lifecycle.running.container_steps import container_undoers
from criserver.lifecycle.running.containers import ContainerLifecycle
from criserver.lifecycle.running.exits import Exits
from criserver.lifecycle.running.pod_steps import pod_undoers
from criserver.lifecycle.running.pods import PodLifecycle
from criserver.lifecycle.tasks import Tasks
from criserver.model.container import ContainerConfig, ContainerMetadata, ImageSpec
from criserver.model.sandbox import PodMetadata, SandboxConfig
from criserver.model.security import (
    ContainerSecurity,
    IdMapping,
    NamespaceMode,
    NamespaceOptions,
    SandboxSecurity,
    UserNamespace,
)
from criserver.observe.metrics import Metrics
from criserver.spec.wish import HostFacts, Policy
from criserver.state.containers import Containers
from criserver.state.db import Database
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes
from criserver.state.traces import Traces as TraceRows
from tests.support.fakes import IMAGE, World, powers


@dataclass
class House:
    """One server's lifecycles; making a second one over the same path and world is a restart."""

    path: Path
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.database = Database(str(self.path / "test.db"))
        self.sandboxes, self.containers = Sandboxes(self.database), Containers(self.database)
        self.journal, self.tasks, self.locks = Journal(self.database), Tasks(), Locks()
        self.powers: Powers = powers(self.world)
        self.operations = Operations(self.tasks)
        self.deliveries = Deliveries(self.sandboxes, self.containers, self.tasks)
        self.metrics = Metrics()
        self.exits = Exits(self.containers, self.powers, self.tasks, self.locks, self.metrics)
        builder = Builder(self.powers, self.containers, HostFacts, lambda _: Policy(), node_name="node")
        self.traces = Traces(TraceRows(self.database), self.tasks, self.metrics)
        self.lives = ContainerLifecycle(
            self.sandboxes, self.containers, self.journal, self.powers, builder, self.exits, self.operations,
            self.locks, self.deliveries, self.traces,
        )  # fmt: skip
        self.pods = PodLifecycle(
            self.sandboxes, self.journal, self.powers, self.lives, self.operations, self.deliveries, self.traces,
            node_name="node",
        )
        self.undoers = {**pod_undoers(self.powers), **container_undoers(self.powers)}
        self.garbage = GarbageCollector(self.sandboxes, self.containers, self.journal, self.powers, self.undoers)
        self.recovery = Recovery(
            self.sandboxes, self.containers, self.journal, self.powers, self.pods, self.lives, self.exits, self.tasks,
            self.undoers,
        )  # fmt: skip

    async def close(self) -> None:
        """End what still waits, and close the database."""
        for future in self.world.exits.values():
            future.cancel()
        await self.tasks.drain(1)
        self.database.close()

    def restarted(self) -> House:
        """What a new server finds after this one was killed."""
        self.database.close()
        return House(self.path, self.world)

    async def running(self) -> tuple[str, str]:
        """Ids of a pod and of a container that runs in it."""
        sandbox_id = await self.pods.run(pod(), "")
        container_id = await self.lives.create(sandbox_id, container())
        await self.lives.start(container_id)
        return sandbox_id, container_id


def pod(name: str = "web", *, pid: NamespaceMode = NamespaceMode.CONTAINER, **changes: object) -> SandboxConfig:
    """A pod's configuration."""
    options = NamespaceOptions(pid=pid)
    return SandboxConfig(
        metadata=PodMetadata(name, f"uid-{name}", "default"),
        security=SandboxSecurity(namespace_options=options),
        **changes,  # type: ignore[arg-type]
    )


MAPPED = UserNamespace(NamespaceMode.POD, (IdMapping(100000, 0, 65536),), (IdMapping(200000, 0, 65536),))


def mapped_pod(*, pid: NamespaceMode = NamespaceMode.CONTAINER) -> SandboxConfig:
    """A pod with a user namespace of its own."""
    return replace(pod(), security=SandboxSecurity(namespace_options=NamespaceOptions(pid=pid, userns=MAPPED)))


def container(name: str = "main", **changes: object) -> ContainerConfig:
    """A container's configuration."""
    return ContainerConfig(
        metadata=ContainerMetadata(name),
        image=ImageSpec(IMAGE.repo_tags[0]),
        security=ContainerSecurity(namespace_options=NamespaceOptions(pid=NamespaceMode.CONTAINER)),
        **changes,  # type: ignore[arg-type]
    )
