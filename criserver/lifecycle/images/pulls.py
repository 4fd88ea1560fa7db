"""How an image comes to the node: from a registry, or out of an archive file.

Either way it is found out what the image is, layers that are not here are brought, and one commit makes it visible.
Requests for the same reference with the same credentials share one pull; who gives up stops nobody's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

from criserver.errors import CriError
from criserver.lifecycle.images.admissions import Admissions
from criserver.lifecycle.images.again import PAUSES, Again
from criserver.lifecycle.images.layer_pool import LayerPool
from criserver.lifecycle.images.progress import RunningPull, RunningPulls
from criserver.lifecycle.operations import Operations
from criserver.model.image import Credentials, Image, ImageRecord
from criserver.model.reference import Reference, parse_reference
from criserver.observe.metrics import Metrics
from criserver.observe.metrics import Pulls as Counts
from criserver.observe.timings import Stages
from criserver.ports.admission import Demand
from criserver.ports.registry import Archives, FetchedImage, Names, Registry, Remote
from criserver.state.images import ImageRepository

log = logging.getLogger(__name__)

FLUSH = ("FlushLayers",)
"""The operation that makes layers safe from a power loss."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where images come from, how many are pulled at a time, and who counts that.

    `namespaced` says that credentials are configured for single namespaces, `pauses` how long is waited before what has
    broken off is tried again, in seconds.
    """

    registry: Registry
    archives: Archives
    names: Names
    at_once: int = 10
    namespaced: bool = False
    counts: Counts = field(default_factory=lambda: Metrics().pulls)
    pauses: Sequence[float] = PAUSES

    @property
    def again(self) -> Again:
        """What is tried again, and counted."""
        return Again(self.counts.retried, self.pauses)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be pulled, and with which credentials: its own, or what is configured for pods of `namespace`."""

    reference: Reference
    credentials: Credentials | None
    namespace: str

    def __str__(self) -> str:
        return str(self.reference)


class Pulls:
    """Pulls and imports, those in flight included."""

    def __init__(
        self,
        repository: ImageRepository,
        sources: Sources,
        pool: LayerPool,
        operations: Operations,
        admissions: Admissions,
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives nanoseconds since the epoch."""
        self._repository, self._pool = repository, pool
        self._sources, self._admissions = sources, admissions
        self._again = sources.again
        self._operations, self._clock = operations, clock
        self._turns = asyncio.Semaphore(sources.at_once)
        self.running = RunningPulls(pool.position)

    async def pull(self, text: str, credentials: Credentials | None, namespace: str = "") -> Image:
        """The image that the reference `text` names at its registry; errors as in ports.registry.Registry.open."""
        await self._sources.names.refresh()
        reference = parse_reference(self._sources.names.one(text))
        wish = Wish(reference, credentials, namespace if self._sources.namespaced else "")
        return await self._operations.join(("PullImage", wish), lambda: self._counted(wish))

    async def load(self, path: str) -> tuple[Image, ...]:
        """The images of the archive file at the absolute `path`, under the names that it gives them."""
        return await self._operations.join(("LoadImage", path), lambda: self._load(path))

    async def _counted(self, wish: Wish) -> Image:
        counts, began, outcome = self._sources.counts, time.monotonic(), "failed"
        counts.began()
        try:
            image, outcome = await self._pull(wish)
        finally:
            counts.ended(outcome, time.monotonic() - began)
        return image

    async def _pull(self, wish: Wish) -> tuple[Image, str]:
        reference = wish.reference
        stages, new = Stages("PullImage"), self._repository.by_reference(str(reference)) is None
        demand = await self._admissions.demand(reference)
        with self.running.running(str(reference), stages) as pull:
            async with self._turns, AsyncExitStack() as stack:
                if new:
                    self._pool.expect()
                with stages.stage("resolve"):
                    opened = self._sources.registry.open(
                        reference, wish.credentials, namespace=wish.namespace, new=new
                    )
                    remote = await stack.enter_async_context(opened)
                names = [name for name in (reference.tagged, reference.with_digest(remote.digest)) if name]
                if image := await self._known(reference, remote, names, demand):
                    outcome = "present"
                else:
                    with stages.stage("fetch"):
                        fetched = await self._again(remote.fetch, str(reference))
                    with _about(reference):
                        image, outcome = await self._store(fetched, names, stages, pull), "pulled"
                    await self._admissions.seal(image, reference, demand)
        log.info("image is pulled", extra={"image": str(reference), "image_id": image.id, **stages.fields()})
        return image, outcome

    async def _known(
        self, reference: Reference, remote: Remote, names: Sequence[str], demand: Demand
    ) -> Image | None:
        """The image that the reference names now, when it is here already; it gets the names.

        Not when signatures are demanded that it was not fetched under: fetching what describes it will check them.
        """
        known = self._repository.by_reference(reference.with_digest(remote.digest))
        image_id = known.id if known else remote.image_id
        if not await self._admissions.satisfied(image_id, demand):
            return None
        return await self._repository.name(image_id, names)

    async def _load(self, path: str) -> tuple[Image, ...]:
        images, stages = [], Stages("LoadImage")
        with self.running.running(path, stages) as pull:
            async with self._sources.archives.open(path) as archived:
                for each in archived:
                    names = [name for name in (parse_reference(text).tagged for text in each.names) if name]
                    with stages.stage("fetch"):
                        fetched = await each.fetch()
                    images.append(await self._store(fetched, names, stages, pull))
                    log.info("image is loaded", extra={"path": path, "image_id": fetched.id, **stages.fields()})
        return tuple(images)

    async def _store(self, fetched: FetchedImage, names: Sequence[str], stages: Stages, pull: RunningPull) -> Image:
        if known := await self._repository.name(fetched.id, names):
            return known
        record = ImageRecord(fetched.defaults, fetched.annotations, self._clock(), fetched.artifact)
        pull.blobs = fetched.layers
        async with AsyncExitStack() as stack:
            with stages.stage("unpack"):
                layers = await stack.enter_async_context(self._pool.hold(fetched.layers))
            with stages.stage("commit"):
                image = await self._repository.add(fetched.id, record, fetched.config, layers, names)
        self._operations.begin(FLUSH, self._pool.flush)
        return image


@contextmanager
def _about(reference: Reference) -> Iterator[None]:
    """Say of an error in a layer, which several images may share, which image was wanted."""
    try:
        yield
    except CriError as error:
        raise type(error)(f"{reference}: {error}") from error
