"""Pulls: a reference resolved at its registry, then its image copied into a private directory. Port `Registry`.

First the manifest is asked for, always: that is where a registry checks credentials. What is then fetched is fetched
by the digest of that answer, so a tag that moves meanwhile cannot mix two images.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from criserver.drivers.image_directory import read_image
from criserver.drivers.manifests import DOCUMENT_LIMIT, Index, Manifest, check_digest, digest_of, parse_manifest
from criserver.drivers.registry_auth import auth_document
from criserver.drivers.skopeo import Skopeo
from criserver.drivers.workspace import Workspaces
from criserver.errors import DataLoss, FailedPrecondition
from criserver.kernel.fds import read_in_root
from criserver.kernel.offload import offload
from criserver.model.image import Credentials
from criserver.model.reference import Reference
from criserver.ports.registry import FetchedImage


class SkopeoRegistry:
    """Registries through skopeo."""

    def __init__(self, skopeo: Skopeo, workspaces: Workspaces, auth_file: str = "") -> None:
        """`auth_file` is the configured containers-auth.json(5), used where a request brings no credentials."""
        self._skopeo = skopeo
        self._workspaces = workspaces
        self._auth_file = auth_file

    @asynccontextmanager
    async def open(self, reference: Reference, credentials: Credentials | None) -> AsyncIterator[SkopeoRemote]:
        """Resolve `reference`; what is fetched lives as long as the context."""
        async with self._workspaces.open() as workspace:
            authfile = await offload(self._write_auth, workspace, reference.domain, credentials)
            content = await self._skopeo.manifest(f"docker://{reference}", workspace, authfile)
            if reference.digest:
                check_digest(content, reference.digest, f"manifest of {reference}")
            document = parse_manifest(content, f"manifest of {reference}")
            digest = reference.digest or digest_of(content)
            yield SkopeoRemote(self._skopeo, reference, document, digest, workspace, authfile)

    async def clear(self) -> None:
        """Remove what a killed server has left behind."""
        await self._workspaces.clear()

    def _write_auth(self, workspace: str, domain: str, credentials: Credentials | None) -> str:
        path = os.path.join(workspace, "auth.json")
        content = auth_document(domain, credentials, self._configured_auth())
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
        return path

    def _configured_auth(self) -> bytes:
        if not self._auth_file:
            return b""
        try:
            return read_in_root("/", self._auth_file, DOCUMENT_LIMIT)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise FailedPrecondition(f"image.auth_file cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class SkopeoRemote:
    """A resolved reference. Port `Remote`."""

    skopeo: Skopeo
    reference: Reference
    document: Manifest | Index
    digest: str
    workspace: str
    authfile: str

    @property
    def image_id(self) -> str:
        """The image's id where the manifest tells it; an index does not."""
        return self.document.config.digest if isinstance(self.document, Manifest) else ""

    async def fetch(self) -> FetchedImage:
        """Copy the image of this platform into the workspace and check that it is the one that was resolved."""
        target = os.path.join(self.workspace, "image")
        source = f"docker://{self.reference.with_digest(self.digest)}"
        await self.skopeo.copy(source, target, self.workspace, self.authfile)
        image = await offload(read_image, target, str(self.reference))
        if isinstance(self.document, Index):
            listed = [descriptor.digest for descriptor in self.document.manifests]
            genuine = any(digest_of(image.manifest, digest) == digest for digest in listed)
        else:
            genuine = image.id == self.image_id
        if not genuine:
            raise DataLoss(f"{self.reference}: the image fetched is not the one that was resolved ({self.digest})")
        return image
