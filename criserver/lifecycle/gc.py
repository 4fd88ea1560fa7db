"""Garbage collection: whatever the kernel or the disk holds by an id that no row claims is given back.

Runs at start, and again when an undo could not be done. Only things below this server's own root and state are looked
at, so two servers on one host never touch each other's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from criserver.lifecycle.forward import FORWARD
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.undo import Undoers, take_back
from criserver.state.containers import Containers
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes

log = logging.getLogger(__name__)


class GarbageCollector:
    """Compares what is there with what is claimed."""

    def __init__(
        self, sandboxes: Sandboxes, containers: Containers, journal: Journal, powers: Powers, undoers: Undoers
    ) -> None:
        self._sandboxes, self._containers, self._journal = sandboxes, containers, journal
        self._powers, self._undoers = powers, undoers

    async def run(self) -> None:
        """One whole sweep, before the socket opens; each failure is logged, and does not end the sweep."""
        powers = self._powers
        await self.retry()
        await self._sweep("monitor", powers.monitors.list, powers.monitors.forget)
        await self._sweep("root", powers.rootfs.list, powers.rootfs.remove)
        await self._sweep("bundle", powers.bundles.list, powers.bundles.remove)
        await self._sweep("namespaces", self._pinned, powers.namespaces.unpin)
        await self._sweep("pod files", powers.pod_files.list, powers.pod_files.remove)
        try:
            await powers.network.gc(frozenset(row.id for row in self._sandboxes))
        except Exception as error:
            log.error("network garbage is left: %s", error)

    async def retry(self) -> None:
        """Try again what an undo left: steps of creates whose row is gone. Safe beside running requests."""
        steps = [step for step in await self._journal.open_steps() if step.operation not in FORWARD]
        await take_back([step for step in steps if not self._claimed(step.subject)], self._undoers, self._journal)

    def _claimed(self, key: str) -> bool:
        return self._sandboxes.find(key) is not None or self._containers.find(key) is not None

    async def _pinned(self) -> frozenset[str]:
        return frozenset(await self._powers.namespaces.pinned())

    async def _sweep(
        self,
        what: str,
        listing: Callable[[], Awaitable[frozenset[str]]],
        drop: Callable[[str], Awaitable[None]],
    ) -> None:
        for key in sorted(await listing()):
            if self._claimed(key):
                continue
            try:
                await drop(key)
                log.warning("gave back %s that no row claims: %s", what, key)
            except Exception as error:
                log.error("cannot give back %s %s: %s", what, key, error)
