"""The image service and what it stands on."""

from __future__ import annotations

from criserver.config.live import Live
from criserver.drivers.archive import ImageArchives
from criserver.drivers.layers import LayerDirectory
from criserver.drivers.registry import SkopeoRegistry
from criserver.drivers.skopeo import Skopeo, SkopeoSettings
from criserver.drivers.workspace import Workspaces
from criserver.lifecycle.image_check import ImageCheck
from criserver.lifecycle.images import ImageService
from criserver.lifecycle.operations import Operations
from criserver.state.db import Database
from criserver.state.images import ImageRepository


def image_half(live: Live, database: Database, operations: Operations) -> tuple[ImageService, ImageCheck]:
    """Build the image service, and what checks its store."""
    config = live.current
    skopeo = Skopeo(SkopeoSettings(config.image.skopeo, config.image.registries_conf, config.image.policy))
    workspaces = Workspaces(config.root)
    repository, layers = ImageRepository(database), LayerDirectory(config.root)
    service = ImageService(
        repository,
        SkopeoRegistry(skopeo, workspaces, config.image.auth_file),
        ImageArchives(skopeo, workspaces),
        layers,
        operations,
        pinned=lambda: live.current.image.pinned,
    )
    return service, ImageCheck(service, repository, layers, workspaces)
