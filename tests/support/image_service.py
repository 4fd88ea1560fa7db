"""An image service over real drivers, as the server wires it, for tests that pull and unpack for real."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from criserver.drivers.images.admission import PolicyAdmission
from criserver.drivers.images.archive import ImageArchives
from criserver.drivers.images.layers import LayerDirectory, LayerLimits
from criserver.drivers.images.registry import SkopeoRegistry
from criserver.drivers.images.short_names import ShortNames
from criserver.drivers.images.skopeo import Skopeo, SkopeoSettings
from criserver.drivers.images.unpacker import Unpacker
from criserver.drivers.images.workspace import Workspaces
from criserver.lifecycle.images.admissions import Admissions
from criserver.lifecycle.images.images import ImageService
from criserver.lifecycle.images.pulls import Sources
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.tasks import Tasks
from criserver.observe.metrics import Metrics
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from criserver.state.seals import Seals


@dataclass
class Node:
    """One server's image half; `root` is its directory."""

    root: Path
    images: ImageService
    repository: ImageRepository
    tasks: Tasks

    def layer_directories(self) -> set[str]:
        """What is in the layers' directory, leftovers included."""
        return {path.name for path in (self.root / "layers").iterdir()}

    def workspaces(self) -> set[str]:
        """Private directories of pulls that are there now."""
        return {path.name for path in (self.root / "tmp").iterdir()}

    def tree(self, image_id: str, position: int = 0) -> Path:
        """The directory of one of the image's layers."""
        image = self.images.resolve(image_id)
        assert image is not None
        return self.root / "layers" / str(image.layers[position])

    def assert_empty(self) -> None:
        """Nothing is known and nothing is on disk."""
        assert self.images.list() == ()
        assert tuple(self.repository.layers) == ()
        assert self.layer_directories() == set()
        assert self.workspaces() == set()


@asynccontextmanager
async def node(
    root: Path,
    registries_conf: Path | str = "",
    *,
    policy: Path | str = "",
    registries_d: Path | str = "",
    decryption_keys: Path | str = "",
    auth_file: Path | str = "",
    auth_dir: Path | str = "",
    pinned: Sequence[str] = (),
    limits: LayerLimits | None = None,
    metrics: Metrics | None = None,
    pauses: Sequence[float] = (0.01, 0.01),
) -> AsyncIterator[Node]:
    """The image half of a server on `root`, recovered; entering it again after leaving is a restart."""
    os.makedirs(root, exist_ok=True)
    database = Database(str(root / "criserver.db"))
    unpacker = Unpacker()
    try:
        repository = ImageRepository(database, boot="this boot")
        settings = SkopeoSettings(
            registries_conf=str(registries_conf),
            registries_d=str(registries_d),
            policy=str(policy),
            decryption_keys=str(decryption_keys),
        )
        skopeo = Skopeo(settings)
        workspaces = Workspaces(str(root))
        tasks = Tasks()
        images = ImageService(
            repository,
            Sources(
                SkopeoRegistry(skopeo, workspaces, str(auth_file), str(auth_dir)),
                ImageArchives(skopeo, workspaces),
                ShortNames(str(registries_conf), str(root / "none.d")),
                namespaced=bool(auth_dir),
                counts=(metrics or Metrics()).pulls,
                pauses=pauses,
            ),
            LayerDirectory(str(root), unpacker, limits),
            Operations(tasks),
            Admissions(Seals(database), PolicyAdmission(str(policy))),
            pinned=lambda: tuple(pinned),
        )
        await images.recover(())
        yield Node(root, images, repository, tasks)
        await tasks.drain(60)
    finally:
        await unpacker.close()
        database.close()
