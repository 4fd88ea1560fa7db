"""Images: pulled or loaded, listed, leased, removed; and what a crash leaves of that, put right.

Identity: an image is its config's digest, in every API; references are names for it. A tag that moves leaves the old
image behind under its digests, as with the peers.

Recovery needs no journal: a pull's directory, a layer tree and a row say by name and state alone whether they belong
to something complete. `recover` removes workspaces, incomplete trees, trees without a row and rows without a tree.
Its assumptions: it runs before any request, and nobody else uses the server's root directory.

RemoveImage of an image that a container uses is refused, as CRI-O does: taking the rows away and keeping the layers
(containerd) frees nothing, yet the kubelet would believe that it had.
"""

from __future__ import annotations

import fnmatch
import functools
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from criserver.errors import FailedPrecondition, InvalidArgument, NotFound
from criserver.lifecycle.images.admissions import Admissions
from criserver.lifecycle.images.doubts import Doubts
from criserver.lifecycle.images.layer_pool import LayerPool
from criserver.lifecycle.images.progress import Progress
from criserver.lifecycle.images.pulls import FLUSH, Pulls, Sources
from criserver.lifecycle.operations import Operations
from criserver.model.image import Credentials, Image
from criserver.model.reference import is_digest, parse_reference
from criserver.ports.layers import Layers
from criserver.state.images import ImageRepository

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FilesystemUsage:
    """What is taken of the file system that `mountpoint` lies on. `timestamp` is in nanoseconds since the epoch."""

    mountpoint: str
    used_bytes: int
    inodes_used: int
    timestamp: int


class ImageService:
    """The image half of the server. Port `Images` for containers."""

    def __init__(
        self,
        repository: ImageRepository,
        sources: Sources,
        layers: Layers,
        operations: Operations,
        admissions: Admissions,
        *,
        doubts: Doubts | None = None,
        pinned: Callable[[], tuple[str, ...]] = tuple,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Layers in `doubts` are not used yet.

        `pinned` tells, each time, the names or globs (fnmatch) of images that the kubelet must not collect.
        """
        self._repository = repository
        self._registry, self._names = sources.registry, sources.names
        self._pool = LayerPool(repository, layers, sources.counts.received, sources.again)
        self._pulls = Pulls(repository, sources, self._pool, operations, admissions, clock)
        self._admissions, self._doubts = admissions, doubts or Doubts()
        self.mountpoint = layers.root  # where the file system of layers is found
        self._operations = operations
        self._pinned = pinned
        self._clock = clock

    async def pull(self, text: str, credentials: Credentials | None = None, namespace: str = "") -> Image:
        """Bring the image that the reference `text` names here; errors as in ports.registry.Registry.open.

        `namespace` is that of the pod which it is for; it may have credentials of its own.
        Callers with the same reference and credentials share one pull, and one that gives up stops nobody's.
        """
        return self._shown(await self._pulls.pull(text, credentials, namespace))

    async def admit(self, image: Image, asked: str) -> Image:
        """The image, as it may run now under the name that was asked for; see the port."""
        while self._doubts.about(image.layers):
            log.info("image is waited for: its layers are looked at first", extra={"image_id": image.id})
            await self._doubts.settled(image.layers)
            if (found := self.resolve(image.id)) is None:
                raise NotFound(f"image {asked} was damaged and could not be pulled again by itself: pull it")
            image = found
        await self._admissions.check(image, asked)
        return image

    async def load(self, path: str) -> tuple[Image, ...]:
        """Bring the images of the archive file at the absolute `path` here, under the names it gives them."""
        return tuple(map(self._shown, await self._pulls.load(path)))

    def pulling(self) -> tuple[Progress, ...]:
        """Pulls and imports that run now."""
        return tuple(self._pulls.running)

    def list(self, wanted: str = "") -> tuple[Image, ...]:
        """Every image, or the one that `wanted` names."""
        if not wanted:
            return tuple(map(self._shown, self._repository))
        image = self.resolve(wanted)
        return (image,) if image else ()

    def resolve(self, reference: str) -> Image | None:
        """The image of an id, unique id prefix, tag or digest reference, when it is here.

        InvalidArgument when the text is no reference at all, or a prefix of several ids.
        """
        image = self._find(reference)
        return self._shown(image) if image else None

    async def config(self, image_id: str) -> bytes:
        """The image's configuration document as the registry had it."""
        return await self._repository.config(image_id)

    async def remove(self, reference: str, *, even_leased: bool = False) -> None:
        """Remove the image that `reference` names, with all of its references, and free its layers. Idempotent.

        FailedPrecondition names a container that uses it, unless `even_leased`, or says that it is in a store that is
        only read.
        """
        image = self._find(reference)
        if image is not None and not self._repository.is_own(image.id):
            raise FailedPrecondition(f"image {reference} is in a store of image.additional_stores, which is only read")
        # Once, unless it is pulled again while an earlier removal, which this one joins, still frees layers.
        while (image := self._find(reference)) is not None and self._repository.is_own(image.id):
            await self._operations.join(("RemoveImage", image.id), partial(self._remove, image.id, even_leased))

    async def lease(self, image_id: str, holder: str) -> None:
        """Keep the image until `release`; NotFound when it has gone meanwhile. Idempotent."""
        await self._repository.lease(image_id, holder)

    async def release(self, holder: str) -> None:
        """End every lease of the holder. Idempotent."""
        await self._repository.release(holder)

    def usage(self) -> FilesystemUsage:
        """What all layers take on disk."""
        layers = tuple(self._repository.layers)
        used, inodes = sum(layer.size for layer in layers), sum(layer.inodes for layer in layers)
        return FilesystemUsage(self.mountpoint, used, inodes, self._clock())

    async def recover(self, holders: Iterable[str] | None = None) -> None:
        """Put right what a crash has left. Before any request.

        `holders` are those whose leases may live on; None when whoever took leases gives them back itself.
        """
        await self._registry.clear()
        if holders is not None:
            await self._repository.release_all_but(holders)
        missing = await self._pool.recover()
        broken = {image.id: "layers are gone from disk" for image in self._repository if missing & set(image.layers)}
        for image_id, reason in (broken | self._repository.damaged).items():
            log.error("image %s is dropped, pull it again: %s", image_id, reason)
            await self._repository.remove(image_id, even_leased=True)
        await self._pool.sweep()
        self._operations.begin(FLUSH, self._pool.flush)

    async def _remove(self, image_id: str, even_leased: bool) -> None:
        await self._repository.remove(image_id, even_leased=even_leased)
        await self._pool.sweep()
        log.info("image is removed", extra={"image_id": image_id})

    def _find(self, text: str) -> Image | None:
        for image_id in (text, f"sha256:{text}"):
            if is_digest(image_id):
                return self._repository.by_id(image_id)
        return self._with_prefix(text) or self._named(text)

    def _named(self, text: str) -> Image | None:
        """A short name may mean several; it is the one that is here."""
        found = (self._repository.by_reference(str(parse_reference(each))) for each in self._names.candidates(text))
        return next(filter(None, found), None)

    def _with_prefix(self, text: str) -> Image | None:
        """crictl shows ids shortened and without "sha256:", and passes on what the user copied from there."""
        hexadecimal = text.removeprefix("sha256:")
        if len(hexadecimal) < _SHORTEST_PREFIX or not set(hexadecimal) <= set("0123456789abcdef"):
            return None
        matches = self._repository.starting_with(f"sha256:{hexadecimal}")
        if len(matches) > 1:
            raise InvalidArgument(f"image id {text!r} is ambiguous: {len(matches)} ids start with it")
        return matches[0] if matches else None

    def _shown(self, image: Image) -> Image:
        names = (*image.repo_tags, *image.repo_digests, image.id)
        pinned = any(fnmatch.fnmatchcase(name, pattern) for pattern in _patterns(self._pinned()) for name in names)
        return replace(image, pinned=True) if pinned else image


_SHORTEST_PREFIX = 3


@functools.lru_cache(1)
def _patterns(pinned: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_pattern, pinned))


def _pattern(pinned: str) -> str:
    """A configured name as images are named, so that "busybox" pins docker.io/library/busybox:latest; globs as is."""
    try:
        return str(parse_reference(pinned))
    except InvalidArgument:
        return pinned
