"""Where images come from: a registry, or an archive file. Both tell what an image is before they fetch its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from criserver.model.image import Credentials, ImageDefaults
from criserver.model.reference import Reference


class BlobStream(Protocol):
    """The bytes of a blob on their way."""

    @property
    def fd(self) -> int:
        """The descriptor that they come from, a file or a pipe; the stream's own."""
        ...

    @property
    def checked(self) -> bool:
        """Whether `finish` fails, with DataLoss, when they do not have the blob's digest; else the reader must look."""
        ...

    def silent(self) -> bool:
        """Whether nothing is there to be read now."""
        ...

    async def finish(self) -> None:
        """Wait until everything has been sent; an error tells why something will be missing. Then the pipe ends.

        For when everything has been read, or when nothing comes any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer that can be had: `size` bytes with `digest` that unpack to a tar with `diff_id`.

    With a `file` they are the content of that path, and `diff_id` only stands for it.
    `open` begins to fetch it. Its errors, and those of the stream, are as in `Registry.open`.
    """

    digest: str
    diff_id: str
    size: int
    open: Callable[[], AbstractAsyncContextManager[BlobStream]]
    file: str = ""


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """What an image is. `id` is the config's digest; digests of documents are checked, layers' are not.

    `manifest` is the one of this platform. Layers can be had as long as the context lasts that it came from.
    `artifact` says of what kind an OCI artifact is, whose `id` is the digest of its manifest and which has no config;
    "" for an image.
    """

    id: str
    manifest: bytes
    config: bytes
    defaults: ImageDefaults
    layers: tuple[LayerBlob, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact: str = ""


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
        """The image of this platform, without its layers. Errors as in `Registry.open`."""
        ...


class Registry(Protocol):
    """Registries as the node reaches them: mirrors, blocks and signature policy included."""

    def open(
        self, reference: Reference, credentials: Credentials | None, *, namespace: str = "", new: bool = False
    ) -> AbstractAsyncContextManager[Remote]:
        """Resolve `reference`; what is fetched lives as long as the context. `new`: it will have to be fetched.

        Where a request brings no credentials, those configured for pods of `namespace` count, then those for all.
        Unauthenticated, PermissionDenied, NotFound, Unavailable, DataLoss, ResourceExhausted and InvalidArgument carry
        the registry's own words.
        """
        ...

    async def clear(self) -> None:
        """Remove what a killed server has left behind; for start-up."""
        ...


class Names(Protocol):
    """What image names without a registry mean."""

    async def refresh(self) -> None:
        """Look anew at what is configured."""
        ...

    def candidates(self, text: str) -> tuple[str, ...]:
        """The full references that `text` may mean, one at least; those with a registry mean themselves."""
        ...

    def one(self, text: str) -> str:
        """The full reference that `text` means; InvalidArgument when that is not certain."""
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
