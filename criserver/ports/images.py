"""What containers need from the image half: a resolved image, held for as long as the container lives."""

from __future__ import annotations

from typing import Protocol

from criserver.model.image import Image


class Images(Protocol):
    """Resolve references and hold images against removal of their layers."""

    def resolve(self, reference: str) -> Image | None:
        """The image of an id, id prefix, tag or digest reference that is present on this node."""
        ...

    async def admit(self, image: Image, asked: str) -> Image:
        """The image as it is once nobody doubts its layers any more: after a power loss they are looked at first.

        PermissionDenied unless the signature policy lets it run under the name that was asked for: a reference, or an
        id, then any of the image's names will do. NotFound when it was damaged and is gone.
        """
        ...

    async def lease(self, image_id: str, holder: str) -> None:
        """Keep the image, and so its layers, until `release`; NotFound when it has gone meanwhile. Idempotent."""
        ...

    async def release(self, holder: str) -> None:
        """End every lease of the holder. Idempotent."""
        ...
