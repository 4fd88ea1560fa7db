"""Root filesystems: an overlay of image layers with a writable top, one per container."""

from __future__ import annotations

from typing import Protocol

from criserver.model.security import Idmap


class Rootfs(Protocol):
    """Mount and drop container roots; names derive from the container id."""

    def path(self, container_id: str) -> str:
        """Where the root is or would be mounted."""
        ...

    def writable(self, container_id: str) -> str:
        """The directory of the writable layer, which is or would be there: what the container has written."""
        ...

    async def mount(
        self, container_id: str, layers: tuple[int, ...], *, readonly: bool = False, idmap: Idmap | None = None
    ) -> str:
        """Mount layers (lowest first) under a private writable layer; returns the mount point. Idempotent.

        With `idmap` the layers' files belong to the ids of that user namespace, and its root can reach the mount point.
        """
        ...

    async def unmount(self, container_id: str) -> None:
        """Unmount, keep the writable layer. Idempotent."""
        ...

    async def remove(self, container_id: str) -> None:
        """Unmount and delete the writable layer, however deep its directories. Idempotent."""
        ...

    async def list(self) -> frozenset[str]:
        """Ids of containers that have a writable layer or a mount, for garbage collection."""
        ...
