"""The steps that make a container, by name, and how each is taken back (see `undo`)."""

from __future__ import annotations

from criserver.lifecycle.powers import Powers
from criserver.lifecycle.undo import Undoers

BUNDLE, ROOTFS, IMAGE_VOLUMES, MONITOR = "bundle", "rootfs", "image volumes", "monitor"


def image_holder(container_id: str) -> str:
    """The name under which a container holds its image."""
    return f"container:{container_id}"


def container_undoers(powers: Powers) -> Undoers:
    """Undo of each step; the monitor's detail is the runtime handler's name."""

    async def bundle(container_id: str, _: str) -> None:
        await powers.bundles.remove(container_id)
        await powers.images.release(image_holder(container_id))

    async def rootfs(container_id: str, _: str) -> None:
        await powers.rootfs.remove(container_id)

    async def image_volumes(container_id: str, _: str) -> None:
        await powers.image_volumes.remove(container_id)

    async def monitor(container_id: str, handler: str) -> None:
        await powers.monitors.kill_all(container_id)
        await powers.runtime.delete(handler, container_id)
        await powers.monitors.forget(container_id)

    return {BUNDLE: bundle, ROOTFS: rootfs, IMAGE_VOLUMES: image_volumes, MONITOR: monitor}
