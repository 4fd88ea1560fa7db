"""Image volumes: an image's files as a read-only directory for one container to mount (KEP-4639)."""

from __future__ import annotations

from typing import Protocol

from criserver.model.security import Idmap


class ImageVolumes(Protocol):
    """Mount and drop image volumes; names derive from the container id."""

    async def mount(
        self, container_id: str, number: int, layers: tuple[int, ...], idmap: Idmap | None = None
    ) -> str:
        """Mount layers (lowest first) read-only as the container's volume `number`; returns the mount point.

        With `idmap` their files belong to the ids of that user namespace.
        """
        ...

    async def sub_path(self, volume: str, path: str) -> str:
        """The host path of `path` inside a mounted volume, links resolved within it.

        InvalidArgument says ImageVolumeMountFailed, as the kubelet looks for it, when there is no such path.
        """
        ...

    async def remove(self, container_id: str) -> None:
        """Unmount every volume of the container. Idempotent."""
        ...

    async def list(self) -> frozenset[str]:
        """Ids of containers that have volumes, for garbage collection."""
        ...
