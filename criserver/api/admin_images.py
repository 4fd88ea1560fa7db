"""The operator's calls about images.

Load {"path": FILE} answers {"images": [{"id": ID, "names": [...]}]}.
Pulls {} answers {"pulls": [...]}: lifecycle.pull_progress.Progress of each that runs, as an object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from criserver.api.admin import Message, Method
from criserver.errors import InvalidArgument
from criserver.lifecycle.images.images import ImageService


class ImageAdmin:
    """Images by the operator's hand."""

    def __init__(self, images: ImageService) -> None:
        self._images = images

    @property
    def methods(self) -> Mapping[str, Method]:
        """Load, Pulls."""
        return {"Load": self._load, "Pulls": self._pulls}

    async def _pulls(self, _request: Message) -> Message:
        """The pulls and imports that run now."""
        return {"pulls": [dataclasses.asdict(progress) for progress in self._images.pulling()]}

    async def _load(self, request: Message) -> Message:
        """Load the images of an archive file, by its absolute path on this host."""
        path = request.get("path")
        if not isinstance(path, str):
            raise InvalidArgument("path is missing: give the archive's absolute path")
        images = await self._images.load(path)
        return {"images": [{"id": image.id, "names": [*image.repo_tags, *image.repo_digests]} for image in images]}
