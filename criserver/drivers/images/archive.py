"""Image archive files: oci-archive (a tar of an OCI layout) and docker-archive (docker save). Port `Archives`.

The file's own index is read here, to learn which images it holds under which names; the images themselves come out
through skopeo, into a private directory, as a pull's do. A file with both indexes (newer docker save) is read as OCI.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from criserver.drivers.images.archive_file import plain
from criserver.drivers.images.directory import read_image
from criserver.drivers.images.manifests import DOCUMENT_LIMIT
from criserver.drivers.images.skopeo import Skopeo
from criserver.drivers.images.workspace import Workspaces
from criserver.errors import Internal, InvalidArgument, NotFound, ResourceExhausted, Unimplemented
from criserver.kernel.offload import offload
from criserver.ports.registry import FetchedImage

_OCI_INDEX, _DOCKER_INDEX = "index.json", "manifest.json"
_REF_NAME = "org.opencontainers.image.ref.name"
_IMAGE_NAME = "io.containerd.image.name"
"""The whole reference, where ref.name has the tag alone: what containerd and Docker write."""
_ENTRIES = 100_000
"""Most entries of an archive; all are looked at, since a later one of the same name would count for others."""

T = TypeVar("T")


class _OciDescriptor(msgspec.Struct, frozen=True):
    digest: str
    annotations: Mapping[str, str] | None = None


class _OciIndex(msgspec.Struct, frozen=True):
    manifests: tuple[_OciDescriptor, ...]


class _DockerImage(msgspec.Struct, frozen=True):
    RepoTags: tuple[str, ...] | None = None


class ImageArchives:
    """Archives through skopeo."""

    def __init__(self, skopeo: Skopeo, workspaces: Workspaces) -> None:
        """Images are unpacked in `workspaces`."""
        self._skopeo = skopeo
        self._workspaces = workspaces

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator[tuple[ArchivedImage, ...]]:
        """The images of the file at the absolute `path`; what is fetched lives as long as the context."""
        if not os.path.isabs(path) or ":" in path:
            raise InvalidArgument(f"archive path {path!r} must be absolute and without a colon")
        async with self._workspaces.open() as workspace:
            sources = await offload(_sources, path, workspace)
            yield tuple(
                ArchivedImage(self._skopeo, source, names, os.path.join(workspace, str(number)), workspace)
                for number, (source, names) in enumerate(sources)
            )


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image of an archive. Port `Archived`."""

    skopeo: Skopeo
    source: str
    names: tuple[str, ...]
    target: str
    workspace: str

    async def fetch(self) -> FetchedImage:
        """Unpack the image from the archive."""
        try:
            await self.skopeo.copy(self.source, self.target, self.workspace)
        except Internal as error:
            if "saved with digest sha256" in str(error):
                hint = "this skopeo copies no digests but sha256 out of archives: push the image to a registry instead"
                raise Unimplemented(f"{self.source}: {hint}") from error
            raise
        return await offload(read_image, self.target, self.source)


def _sources(path: str, workspace: str) -> list[tuple[str, tuple[str, ...]]]:
    """What skopeo calls each image of the archive, and the names that the archive gives it."""
    try:
        archive = plain(path, workspace)
        found = _read_indexes(archive)
    except FileNotFoundError:
        raise NotFound(f"archive {path} does not exist") from None
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InvalidArgument(f"archive {path} cannot be read: {error}") from error
    if _OCI_INDEX in found:
        return _oci_sources(archive, _decode(_OciIndex, found[_OCI_INDEX], path))
    if _DOCKER_INDEX in found:
        images = _decode(tuple[_DockerImage, ...], found[_DOCKER_INDEX], path)
        return [(f"docker-archive:{archive}:@{n}", image.RepoTags or ()) for n, image in enumerate(images)]
    raise InvalidArgument(f"{path} is no image archive: it has neither {_OCI_INDEX} nor {_DOCKER_INDEX}")


def _oci_sources(path: str, index: _OciIndex) -> list[tuple[str, tuple[str, ...]]]:
    sources: list[tuple[str, tuple[str, ...]]] = []
    for descriptor in index.manifests:
        annotations = descriptor.annotations or {}
        short = annotations.get(_REF_NAME, "")
        name = annotations.get(_IMAGE_NAME) or (short if ":" in short or "/" in short else "")
        if not short and len(index.manifests) > 1:
            raise InvalidArgument(f"archive {path} holds several images, one without the annotation {_REF_NAME}")
        sources.append((f"oci-archive:{path}" + (f":{short}" if short else ""), (name,) if name else ()))
    return sources


def _read_indexes(path: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path, "r:") as archive:
        for number, member in enumerate(archive):
            name = member.name.removeprefix("./")
            if name in (_OCI_INDEX, _DOCKER_INDEX) and member.isreg():
                if member.size > DOCUMENT_LIMIT:
                    raise ResourceExhausted(f"{name} of archive {path} has more than {DOCUMENT_LIMIT} bytes")
                if name in found:
                    raise InvalidArgument(f"archive {path} is ambiguous: it has {name} twice, so it is refused")
                file = archive.extractfile(member)
                found[name] = file.read() if file else b""
            if number > _ENTRIES:
                raise ResourceExhausted(f"archive {path} has more than {_ENTRIES} entries")
    return found


def _decode(kind: type[T], content: bytes, path: str) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the index of archive {path} cannot be read: {error}") from error
