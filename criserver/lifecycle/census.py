"""How many pods, containers, monitors and left-over things there are, counted when somebody looks at the metrics.

Rows against kernel: what is found under a server's own directories and is claimed by no row is left over, what a row
claims and the kernel does not have is missing. Both are zero on a healthy node; `gc` and recovery make them so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping

from criserver.lifecycle.events import Events
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.tasks import Tasks
from criserver.model.container import ContainerState
from criserver.model.sandbox import Sandbox, SandboxState
from criserver.observe.metrics import Metrics
from criserver.state.containers import Containers
from criserver.state.sandboxes import Sandboxes

KERNEL_SECONDS = 10.0
"""How old the comparison with the kernel may be: it reads directories and the mount table."""
MONITORED = frozenset({ContainerState.CREATED, ContainerState.RUNNING})


class Census:
    """Sets the gauges of `metrics`."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        powers: Powers,
        events: Events,
        tasks: Tasks,
        images: Callable[[], int],
        living: Callable[[], Awaitable[frozenset[str]]],
        metrics: Metrics,
    ) -> None:
        """`images` counts the images, `living` tells the containers whose monitors live."""
        self._sandboxes, self._containers, self._powers = sandboxes, containers, powers
        self._events, self._tasks, self._images = events, tasks, images
        self._living, self._metrics = living, metrics
        self._compared = float("-inf")
        self._monitors = 0

    async def take(self) -> None:
        """Count everything. What cannot be listed keeps its last figure."""
        now = asyncio.get_running_loop().time()
        if now - self._compared >= KERNEL_SECONDS:
            self._compared = now
            await self._compare()
        gauges = self._metrics.gauges
        gauges.pods(_by_state(SandboxState, [row.state for row in self._sandboxes]))
        gauges.containers(_by_state(ContainerState, [row.state for row in self._containers]))
        gauges.counts(
            monitors=self._monitors,
            images=self._images(),
            listeners=self._events.listeners,
            tasks=self._tasks.count,
        )

    async def _compare(self) -> None:
        powers = self._powers
        monitors, roots, volumes, bundles, files = await asyncio.gather(
            powers.monitors.list(), powers.rootfs.list(), powers.image_volumes.list(), powers.bundles.list(),
            powers.pod_files.list(),
        )  # fmt: skip
        namespaces, living = await asyncio.gather(powers.namespaces.pinned(), self._living())
        self._monitors = len(living)
        # Rows come before what they claim and go after it, so they are read last: nothing new looks left over.
        of_containers = {"monitor": monitors, "root": roots, "image volumes": volumes, "bundle": bundles}
        of_sandboxes = {"namespaces": frozenset(namespaces), "pod files": files}
        containers, sandboxes = {row.id for row in self._containers}, {row.id for row in self._sandboxes}
        over = {kind: len(found - containers) for kind, found in of_containers.items()}
        over |= {kind: len(found - sandboxes) for kind, found in of_sandboxes.items()}
        self._metrics.gauges.kernel(over, {"namespaces": self._without(namespaces), "monitor": self._unwatched(living)})

    def _without(self, pinned: Mapping[str, Collection[str]]) -> int:
        ready = [row for row in self._sandboxes if row.state is SandboxState.READY]
        return sum(not wanted_namespaces(row) <= set(pinned.get(row.id, ())) for row in ready)

    def _unwatched(self, living: Collection[str]) -> int:
        return sum(row.state in MONITORED and row.id not in living for row in self._containers)


def wanted_namespaces(row: Sandbox) -> set[str]:
    """The kinds of namespaces that a ready sandbox cannot be without."""
    wanted = {"uts"} | (set() if row.config.host_network else {"net"}) | ({"pid"} if row.pid_init else set())
    return wanted | ({"user"} if row.config.security.namespace_options.own_userns else set())


def _by_state(kind: type[SandboxState | ContainerState], states: Collection[str]) -> dict[str, int]:
    """Every state of `kind` is there, with zero as well: a series that vanishes cannot be told from a broken scrape."""
    found = Counter(states)
    return {each.value.lower(): found[each] for each in kind}
