"""How many pods, containers, monitors and left-over things there are, counted when somebody looks at the metrics.

What is left over or missing comes of the check that `criserver check` makes too. All of it is zero on a healthy node;
`gc` and recovery make it so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

from criserver.lifecycle.reports.events import Events
from criserver.lifecycle.tasks import Tasks
from criserver.model.container import ContainerState
from criserver.model.findings import Finding, Kind, Verdict
from criserver.model.sandbox import SandboxState
from criserver.observe.metrics import Metrics
from criserver.state.containers import Containers
from criserver.state.sandboxes import Sandboxes

KERNEL_SECONDS = 10.0
"""How old the comparison with the kernel may be: it reads directories and the mount table."""
Check = Callable[[], Awaitable[tuple[Finding, ...]]]


class Census:
    """Sets the gauges of `metrics`."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        events: Events,
        tasks: Tasks,
        check: Check,
        images: Callable[[], int],
        living: Callable[[], Awaitable[frozenset[str]]],
        metrics: Metrics,
    ) -> None:
        """`check` compares rows and kernel, `images` counts images, `living` has the containers with live monitors."""
        self._sandboxes, self._containers, self._events, self._tasks = sandboxes, containers, events, tasks
        self._check, self._images, self._living, self._metrics = check, images, living, metrics
        self._compared = float("-inf")

    async def take(self) -> None:
        """Count everything."""
        gauges, now = self._metrics.gauges, asyncio.get_running_loop().time()
        if now - self._compared >= KERNEL_SECONDS:
            self._compared = now
            await self._compare()
        gauges.pods(_by_state(SandboxState, [row.state for row in self._sandboxes]))
        gauges.containers(_by_state(ContainerState, [row.state for row in self._containers]))
        gauges.counts(
            monitors=len(await self._living()),
            images=self._images(),
            listeners=self._events.listeners,
            tasks=self._tasks.count,
        )

    async def _compare(self) -> None:
        found = await self._check()
        left, lacking = (Counter(each.what for each in found if each.verdict is verdict) for verdict in _TOLD)
        self._metrics.gauges.kernel(
            {str(kind): left[kind] for kind in Kind},
            {str(kind): lacking[kind] for kind in Kind},
            unfinished=sum(each.verdict is Verdict.UNFINISHED for each in found),
        )


_TOLD = (Verdict.LEFT_OVER, Verdict.MISSING)


def _by_state(kind: type[SandboxState | ContainerState], states: Collection[str]) -> dict[str, int]:
    """Every state of `kind` is there, with zero as well: a series that vanishes cannot be told from a broken scrape."""
    found = Counter(states)
    return {each.value.lower(): found[each] for each in kind}
