"""OCI bundles: a container's directory with its config.json, and the runtime's view of its root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Bundles(Protocol):
    """Write, read and drop bundles; names derive from the container id."""

    def path(self, container_id: str) -> str:
        """The bundle directory."""
        ...

    async def write(self, container_id: str, spec: Mapping[str, Any]) -> None:
        """Write config.json into the container's private directory (0700). Idempotent."""
        ...

    async def read(self, container_id: str) -> dict[str, Any]:
        """config.json as it was written; Internal when it is missing or damaged."""
        ...

    async def find(self, container_id: str) -> dict[str, Any] | None:
        """config.json as it was written; None when it is not there, Internal when it is damaged."""
        ...

    async def volume(
        self, container_id: str, number: int, rootfs: str, destination: str, owner: tuple[int, int] = (0, 0)
    ) -> str:
        """The anonymous volume of a VOLUME of the image, filled with what the root has there; returns its path.

        Where the root has nothing, it belongs to `owner` (uid and gid on the host). Fifos, sockets and devices stay
        behind. InvalidArgument for what cannot be copied, ResourceExhausted.
        """
        ...

    async def remove(self, container_id: str) -> None:
        """Delete the container's directories. Idempotent."""
        ...

    async def list(self) -> frozenset[str]:
        """Ids of containers that have a directory, for garbage collection."""
        ...
