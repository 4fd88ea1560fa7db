"""Pulls: a reference resolved at its registry, then the documents and layers of its image. Port `Registry`.

First the manifest is asked for, always: that is where a registry checks credentials. What is then fetched is fetched
by digests that hang from that answer, so a tag that moves meanwhile cannot mix two images. Layers come one by one
through a proxy, so that only those are fetched that are not here.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from criserver.drivers.images.artifacts import identity
from criserver.drivers.images.described import Opener, described
from criserver.drivers.images.directory import read_image
from criserver.drivers.images.manifests import (
    DOCUMENT_LIMIT,
    Descriptor,
    Index,
    Manifest,
    check_digest,
    digest_of,
    encrypted,
    parse_manifest,
)
from criserver.drivers.images.proxy import ImageProxy
from criserver.drivers.images.registry_auth import auth_document, namespaced_name
from criserver.drivers.images.skopeo import Skopeo
from criserver.drivers.images.workspace import Workspaces
from criserver.errors import DataLoss, FailedPrecondition, InvalidArgument
from criserver.kernel.fds import read_in_root
from criserver.kernel.offload import offload
from criserver.model.image import Credentials
from criserver.model.reference import Reference
from criserver.ports.registry import FetchedImage


class SkopeoRegistry:
    """Registries through skopeo."""

    def __init__(self, skopeo: Skopeo, workspaces: Workspaces, auth_file: str = "", auth_dir: str = "") -> None:
        """`auth_file` is the configured containers-auth.json(5), `auth_dir` has such files of single namespaces.

        They are used where a request brings no credentials.
        """
        self._skopeo = skopeo
        self._workspaces = workspaces
        self._auth_file, self._auth_dir = auth_file, auth_dir

    @asynccontextmanager
    async def open(
        self, reference: Reference, credentials: Credentials | None, *, namespace: str = "", new: bool = False
    ) -> AsyncIterator[SkopeoRemote]:
        """Resolve `reference`; what is fetched lives as long as the context. `new`: it will have to be fetched."""
        async with AsyncExitStack() as stack:
            workspace = await stack.enter_async_context(self._workspaces.open())
            authfile = await offload(self._write_auth, workspace, reference, credentials, namespace)
            session = Session(self._skopeo, f"docker://{reference}", workspace, authfile)
            stack.push_async_callback(session.close)
            if new:
                session.begin()
            content = await session.manifest(session.source)
            if reference.digest:
                check_digest(content, reference.digest, f"manifest of {reference}")
            document = parse_manifest(content, f"manifest of {reference}")
            yield SkopeoRemote(session, reference, content, document, reference.digest or digest_of(content))

    async def clear(self) -> None:
        """Remove what a killed server has left behind."""
        await self._workspaces.clear()

    def _write_auth(
        self, workspace: str, reference: Reference, credentials: Credentials | None, namespace: str
    ) -> str:
        path = os.path.join(workspace, "auth.json")
        content = auth_document(reference.domain, credentials, self._configured_auth(namespace, reference.name))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
        return path

    def _configured_auth(self, namespace: str, name: str) -> bytes:
        own = b""
        if self._auth_dir and namespace:
            own = _read_auth(os.path.join(self._auth_dir, namespaced_name(namespace, name)))
        return own or (_read_auth(self._auth_file) if self._auth_file else b"")


def _read_auth(path: str) -> bytes:
    try:
        return read_in_root("/", path, DOCUMENT_LIMIT)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise FailedPrecondition(f"the configured credentials cannot be read: {error}") from error


class Session:
    """The conversation of one pull with its registry, with one set of credentials."""

    def __init__(self, skopeo: Skopeo, source: str, workspace: str, authfile: str) -> None:
        self.source = source
        self._skopeo, self._workspace, self._authfile = skopeo, workspace, authfile
        self._proxy: ImageProxy | None = None

    def begin(self) -> ImageProxy:
        """Start what will fetch blobs, if it is not running. It connects when it is first asked."""
        if self._proxy is None:
            self._proxy = self._skopeo.proxy(self.source, self._workspace, self._authfile)
        return self._proxy

    async def manifest(self, source: str) -> bytes:
        """The manifest or index of `source`, as the registry has it."""
        return await self._skopeo.manifest(source, self._workspace, self._authfile)

    async def verify(self, reference: Reference, name: str, manifest: Manifest) -> None:
        """Ask the signature policy about `reference`, which is `name` (by digest) and what `manifest` describes."""
        requirements = await offload(self._skopeo.required, reference)
        if requirements is None:
            return
        blobs = os.path.join(self._workspace, "blobs")
        await offload(_make_placeholders, blobs, manifest)
        layout = os.path.join(self._workspace, "verified")
        await self._skopeo.verify(name, requirements, layout, blobs, self._workspace, self._authfile)

    @property
    def decrypts(self) -> bool:
        """Whether there may be keys for encrypted layers."""
        return self._skopeo.decrypts

    async def decrypted(self, name: str, what: str, manifest: Manifest) -> FetchedImage:
        """The image `name` (by digest) with its layers in the clear, all of them fetched."""
        target = os.path.join(self._workspace, "decrypted")
        await self._skopeo.decrypt(name, target, self._workspace, self._authfile)
        fetched = await offload(read_image, target, what)
        if fetched.id != manifest.config.digest:
            raise DataLoss(f"{what}: decrypted, it has the id {fetched.id}, its manifest says {manifest.config.digest}")
        return fetched

    async def close(self) -> None:
        """End the proxy, if there is one."""
        if self._proxy is not None:
            await self._proxy.close()


@dataclass(frozen=True, slots=True)
class SkopeoRemote:
    """A resolved reference. Port `Remote`."""

    session: Session
    reference: Reference
    content: bytes
    document: Manifest | Index
    digest: str

    @property
    def image_id(self) -> str:
        """The image's id where the manifest tells it; an index does not."""
        return identity(self.document, self.content) if isinstance(self.document, Manifest) else ""

    async def fetch(self) -> FetchedImage:
        """Fetch what describes the image of this platform, once the signature policy accepts it."""
        what = str(self.reference)
        proxy = self.session.begin()
        await proxy.open()
        content, manifest = await self._of_this_platform(proxy)
        await self.session.verify(self.reference, self.reference.with_digest(self.digest), manifest)
        if encrypted(manifest) and self.session.decrypts:
            return await self.session.decrypted(self.reference.with_digest(self.digest), what, manifest)
        config = await proxy.document(manifest.config.digest, manifest.config.size)

        def opener(layer: Descriptor) -> Opener:
            return partial(proxy.blob, layer.digest, layer.size)

        return described(content, manifest, config, what, opener)

    async def _of_this_platform(self, proxy: ImageProxy) -> tuple[bytes, Manifest]:
        if isinstance(self.document, Manifest):
            return self.content, self.document
        listed = {descriptor.digest for descriptor in self.document.manifests}
        digest, content = await proxy.manifest()
        if digest not in listed:  # The tag has moved meanwhile.
            await proxy.open(f"docker://{self.reference.with_digest(self.digest)}")
            digest, content = await proxy.manifest()
        what = f"manifest of {self.reference} for this platform"
        if digest not in listed:
            raise DataLoss(f"{what} is not in the index that was resolved ({self.digest})")
        if digest_of(content, digest) != digest:  # Docker's, which the proxy rewrites.
            content = await self.session.manifest(f"docker://{self.reference.with_digest(digest)}")
            check_digest(content, digest, what)
        manifest = parse_manifest(content, what)
        if not isinstance(manifest, Manifest):
            raise InvalidArgument(f"{what} is an index, not an image")
        return content, manifest


def _make_placeholders(directory: str, manifest: Manifest) -> None:
    """A hole of the right size for each layer, where an OCI layout would have the blob (image-layout.md)."""
    for layer in manifest.layers:
        algorithm, _, hexadecimal = layer.digest.partition(":")
        os.makedirs(os.path.join(directory, algorithm), exist_ok=True)
        with open(os.path.join(directory, algorithm, hexadecimal), "wb") as file:
            file.truncate(layer.size)
