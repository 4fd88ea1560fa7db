"""Where images come from: a registry, or an archive file. Both end in the same place, blobs in a private directory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from criserver.model.image import Credentials, ImageDefaults
from criserver.model.reference import Reference


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer as it was fetched: a file with `digest` that unpacks to a tar with `diff_id`."""

    path: str
    digest: str
    diff_id: str


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """An image in a private directory. `id` is the config's digest; digests of documents are checked, layers' are not.

    `manifest` is the one of this platform.
    """

    id: str
    manifest: bytes
    config: bytes
    defaults: ImageDefaults
    layers: tuple[LayerBlob, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)


class Remote(Protocol):
    """One reference at its registry, resolved: what it names cannot change any more."""

    @property
    def digest(self) -> str:
        """Digest of the manifest or index that the reference names."""
        ...

    @property
    def image_id(self) -> str:
        """The image's id where a manifest tells it; "" for an index."""
        ...

    async def fetch(self) -> FetchedImage:
        """Bring the image of this platform here. Errors as in `Registry.open`."""
        ...


class Registry(Protocol):
    """Registries as the node reaches them: mirrors, blocks and signature policy included."""

    def open(self, reference: Reference, credentials: Credentials | None) -> AbstractAsyncContextManager[Remote]:
        """Resolve `reference`; what is fetched lives as long as the context.

        Unauthenticated, PermissionDenied, NotFound, Unavailable, DataLoss, ResourceExhausted and InvalidArgument carry
        the registry's own words.
        """
        ...

    async def clear(self) -> None:
        """Remove what a killed server has left behind; for start-up."""
        ...


class Archived(Protocol):
    """One image of an archive."""

    @property
    def names(self) -> tuple[str, ...]:
        """The references that the archive gives it."""
        ...

    async def fetch(self) -> FetchedImage:
        """Unpack the image from the archive."""
        ...


class Archives(Protocol):
    """Image archive files: oci-archive and docker-archive."""

    def open(self, path: str) -> AbstractAsyncContextManager[tuple[Archived, ...]]:
        """The images of the file at the absolute `path`; InvalidArgument when it is no image archive."""
        ...
