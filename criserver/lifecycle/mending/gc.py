"""Garbage collection: whatever the kernel or the disk holds by an id that no row claims is given back.

Runs at start, and again when an undo could not be done. Only things below this server's own root and state are looked
at, so two servers on one host never touch each other's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection

from criserver.lifecycle.forward import FORWARD
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.running.container_steps import BUNDLE
from criserver.lifecycle.running.pod_steps import CGROUP, FILES, POD_INIT
from criserver.lifecycle.undo import Undoers, take_back
from criserver.model.sandbox import PodMetadata, SandboxConfig
from criserver.state.containers import Containers
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes

log = logging.getLogger(__name__)
# Whose configuration went with its row; what plugins need of it is in their cache.
_UNKNOWN_POD = SandboxConfig(PodMetadata("", "", ""))


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
        await self._sweep("monitor", powers.monitors.list, self._drop_monitor)
        await self._sweep("root", powers.rootfs.list, powers.rootfs.remove)
        await self._sweep("image volumes", powers.image_volumes.list, powers.image_volumes.remove)
        await self._sweep("bundle", powers.bundles.list, self._drop_bundle)
        await self._give_back_networks()  # plugins find what is theirs through the namespace, as long as it is there
        await self._sweep("namespaces", self._pinned, powers.namespaces.unpin)
        await self._sweep("pod files", powers.pod_files.list, self._drop_pod)

    async def retry(self) -> None:
        """Try again what an undo left: steps of creates whose row is gone. Safe beside running requests."""
        steps = [step for step in await self._journal.open_steps() if step.operation not in FORWARD]
        await take_back([step for step in steps if not self._claimed(step.subject)], self._undoers, self._journal)

    async def give_back(self, keys: Collection[str]) -> list[str]:
        """All that is left of these ids of pods and containers; a line for each. Safe beside running requests.

        Ids that a row claims are passed over: what such a pod has too much goes when it is stopped.
        """
        return [await self._give_back(key) for key in sorted(keys) if not self._claimed(key)]

    async def _give_back(self, key: str) -> str:
        powers = self._powers
        netns = powers.namespaces.path(key, "net")
        steps: list[Callable[[], Awaitable[None]]] = [
            lambda: self._drop_monitor(key),
            lambda: powers.image_volumes.remove(key),
            lambda: powers.rootfs.remove(key),
            lambda: self._drop_bundle(key),
            lambda: powers.network.remove(key, _UNKNOWN_POD, netns),
            lambda: powers.namespaces.unpin(key),
            lambda: self._drop_pod(key),
        ]
        failed = []
        for step in steps:
            try:
                await step()
            except Exception as error:
                failed.append(str(error))
        words = f": {'; '.join(failed)}" if failed else ""
        line = f"{'could not give back all' if failed else 'gave back what was left'} of {key}{words}"
        log.warning("%s", line)
        return line

    def _claimed(self, key: str) -> bool:
        return self._sandboxes.find(key) is not None or self._containers.find(key) is not None

    async def _give_back_networks(self) -> None:
        try:
            await self._powers.network.gc(frozenset(row.id for row in self._sandboxes))
        except Exception as error:
            log.error("network garbage is left: %s", error)

    async def _drop_monitor(self, container_id: str) -> None:
        """Kill what the monitor watches, too: a container that no row claims can never be stopped by its name."""
        powers = self._powers
        await powers.monitors.kill_all(container_id)
        for handler in powers.runtime.handlers():  # which of them it was made with, only the row knew
            await powers.runtime.delete(handler.name, container_id)
        await powers.monitors.forget(container_id)

    async def _drop_bundle(self, container_id: str) -> None:
        await self._undoers[BUNDLE](container_id, "")

    async def _drop_pod(self, sandbox_id: str) -> None:
        """A pod's files, and first the cgroup that it got when its caller named none."""
        cgroups = self._powers.cgroups
        parent = cgroups.default_parent(sandbox_id)
        if not await cgroups.missing(parent):
            await self._undoers[POD_INIT](sandbox_id, cgroups.pod_init_path(parent, sandbox_id))
            await self._undoers[CGROUP](sandbox_id, parent)
        await self._undoers[FILES](sandbox_id, "")

    async def _pinned(self) -> frozenset[str]:
        return frozenset(await self._powers.namespaces.pinned())

    async def _sweep(
        self,
        what: str,
        listing: Callable[[], Awaitable[frozenset[str]]],
        drop: Callable[[str], Awaitable[None]],
    ) -> None:
        try:
            found = await listing()
        except Exception as error:
            log.error("cannot look for %s that no row claims: %s", what, error)
            return
        for key in sorted(key for key in found if not self._claimed(key)):
            try:
                await drop(key)
                log.warning("gave back %s that no row claims: %s", what, key)
            except Exception as error:
                log.error("cannot give back %s %s: %s", what, key, error)
