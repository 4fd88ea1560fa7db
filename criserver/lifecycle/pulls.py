"""How an image comes to the node: from a registry, or out of an archive file.

Either way it is fetched into a private directory, its layers are unpacked, and one commit makes it visible. Requests
for the same reference with the same credentials share one pull; who gives up stops nobody's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from criserver.lifecycle.layer_pool import LayerPool
from criserver.lifecycle.operations import Operations
from criserver.model.image import Credentials, Image, ImageRecord
from criserver.model.reference import Reference, parse_reference
from criserver.observe.timings import Stages
from criserver.ports.registry import Archives, FetchedImage, Registry, Remote
from criserver.state.images import ImageRepository

log = logging.getLogger(__name__)


class Pulls:
    """Pulls and imports, those in flight included."""

    def __init__(
        self,
        repository: ImageRepository,
        registry: Registry,
        archives: Archives,
        pool: LayerPool,
        operations: Operations,
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives nanoseconds since the epoch."""
        self._repository, self._pool = repository, pool
        self._registry, self._archives = registry, archives
        self._operations, self._clock = operations, clock

    async def pull(self, text: str, credentials: Credentials | None) -> Image:
        """The image that the reference `text` names at its registry; errors as in ports.registry.Registry.open."""
        reference = parse_reference(text)
        key = ("PullImage", str(reference), credentials)
        return await self._operations.join(key, lambda: self._pull(reference, credentials))

    async def load(self, path: str) -> tuple[Image, ...]:
        """The images of the archive file at the absolute `path`, under the names that it gives them."""
        return await self._operations.join(("LoadImage", path), lambda: self._load(path))

    async def _pull(self, reference: Reference, credentials: Credentials | None) -> Image:
        stages = Stages("PullImage")
        async with AsyncExitStack() as stack:
            with stages.stage("resolve"):
                remote = await stack.enter_async_context(self._registry.open(reference, credentials))
            names = [name for name in (reference.tagged, reference.with_digest(remote.digest)) if name]
            image = await self._known(reference, remote, names)
            if image is None:
                with stages.stage("fetch"):
                    fetched = await remote.fetch()
                image = await self._store(fetched, names, stages)
        log.info("image is pulled", extra={"image": str(reference), "image_id": image.id, **stages.fields()})
        return image

    async def _known(self, reference: Reference, remote: Remote, names: Sequence[str]) -> Image | None:
        """The image that the reference names now, when it is here already; it gets the names."""
        known = self._repository.by_reference(reference.with_digest(remote.digest))
        return await self._repository.name(known.id if known else remote.image_id, names)

    async def _load(self, path: str) -> tuple[Image, ...]:
        images = []
        async with self._archives.open(path) as archived:
            for each in archived:
                stages = Stages("LoadImage")
                names = [name for name in (parse_reference(text).tagged for text in each.names) if name]
                with stages.stage("fetch"):
                    fetched = await each.fetch()
                images.append(await self._store(fetched, names, stages))
                log.info("image is loaded", extra={"path": path, "image_id": fetched.id, **stages.fields()})
        return tuple(images)

    async def _store(self, fetched: FetchedImage, names: Sequence[str], stages: Stages) -> Image:
        if known := await self._repository.name(fetched.id, names):
            return known
        record = ImageRecord(fetched.defaults, fetched.annotations, self._clock())
        async with AsyncExitStack() as stack:
            with stages.stage("unpack"):
                layers = await stack.enter_async_context(self._pool.hold(fetched.layers))
            with stages.stage("commit"):
                return await self._repository.add(fetched.id, record, fetched.config, layers, names)
