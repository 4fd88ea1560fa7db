"""OCI and Docker image documents: manifest, index and config, from untrusted bytes to typed values.

Pure: bytes in, values out; it knows no registry and no files. Documents are bounded, every digest in them is validated
before anybody uses it as a name (CVE-2024-3727), and a document that could be read as a manifest and as an index is
refused (CVE-2021-41190, GHSA-77vh-xpmg-72qh). Formats: OCI image-spec manifest.md, image-index.md, config.md, and
Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from criserver.errors import DataLoss, InvalidArgument, ResourceExhausted
from criserver.model.image import ImageDefaults
from criserver.model.reference import is_digest

DOCUMENT_LIMIT = 4 << 20
"""Largest manifest, index or config, in bytes; as registries accept (distribution-spec "Pushing Manifests")."""
LAYER_LIMIT = 500
"""Most layers of an image; overlayfs takes 500 lower directories (OVL_MAX_STACK)."""

T = TypeVar("T")


class Descriptor(msgspec.Struct, frozen=True):
    """A reference to a blob (OCI descriptor.md)."""

    digest: str
    size: int
    mediaType: str = ""  # noqa: N815 - spelt as in the document
    platform: Mapping[str, Any] | None = None
    annotations: Mapping[str, str] | None = None


class Manifest(msgspec.Struct, frozen=True):
    """One image or artifact: its config and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] | None = None
    artifactType: str = ""  # noqa: N815 - spelt as in the document


class Index(msgspec.Struct, frozen=True):
    """Images for several platforms (an OCI index or a Docker manifest list)."""

    manifests: tuple[Descriptor, ...]


class _Process(msgspec.Struct, frozen=True):
    User: str | None = None
    Env: tuple[str, ...] | None = None
    Entrypoint: tuple[str, ...] | None = None
    Cmd: tuple[str, ...] | None = None
    WorkingDir: str | None = None
    StopSignal: str | None = None
    Volumes: Mapping[str, Any] | None = None
    Labels: Mapping[str, str] | None = None


class _Rootfs(msgspec.Struct, frozen=True):
    type: str
    diff_ids: tuple[str, ...] | None = None


class _Config(msgspec.Struct, frozen=True):
    rootfs: _Rootfs
    architecture: str = ""
    os: str = ""
    config: _Process | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """An image config: the process's defaults and the digests of the layers' uncompressed tars, lowest first."""

    defaults: ImageDefaults
    diff_ids: tuple[str, ...]
    architecture: str


class _Kind(msgspec.Struct, frozen=True):
    """The fields that tell what a document is."""

    schemaVersion: int = 0  # noqa: N815 - spelt as in the document
    mediaType: str = ""  # noqa: N815
    manifests: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    config: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    layers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    fsLayers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


def digest_of(data: bytes, like: str = "sha256:") -> str:
    """The digest of `data` by the algorithm of `like`."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def check_digest(data: bytes, expected: str, what: str) -> None:
    """DataLoss naming `what` unless `data` has the digest `expected`."""
    actual = digest_of(data, expected)
    if actual != expected:
        raise DataLoss(f"{what} has digest {actual}, expected {expected}: it was damaged or replaced on its way")


def parse_manifest(data: bytes, what: str = "image manifest") -> Manifest | Index:
    """The document in `data`; DataLoss, InvalidArgument or ResourceExhausted when it is not one that can be used."""
    kind = _decode(_Kind, data, what)
    is_index, is_image = kind.manifests is not msgspec.UNSET, kind.layers is not msgspec.UNSET
    if kind.fsLayers is not msgspec.UNSET or kind.schemaVersion == 1:
        raise InvalidArgument(f"{what} is of Docker schema 1, which is no longer supported: push the image again")
    if is_index and (is_image or kind.config is not msgspec.UNSET):
        raise InvalidArgument(f"{what} is ambiguous: it is a manifest and an index at once, so it is refused")
    if not is_index and not is_image:
        raise InvalidArgument(f"{what} has neither layers nor manifests: it is no image (type {kind.mediaType!r})")
    if kind.mediaType and (("index" in kind.mediaType or "list" in kind.mediaType) != is_index):
        raise InvalidArgument(f"{what} is ambiguous: its media type {kind.mediaType!r} contradicts its content")
    if is_index:
        index = _decode(Index, data, what)
        _check_descriptors(index.manifests, what)
        return index
    manifest = _decode(Manifest, data, what)
    _check_descriptors((manifest.config, *manifest.layers), what)
    _check_layers(manifest, what)
    return manifest


def encrypted(manifest: Manifest) -> Descriptor | None:
    """The first layer that is encrypted (ocicrypt), None when there is none."""
    return next((layer for layer in manifest.layers if layer.mediaType.endswith("+encrypted")), None)


def parse_config(data: bytes, manifest: Manifest, what: str = "image config") -> Config:
    """The image config that `manifest` names; DataLoss or InvalidArgument when it does not belong to it."""
    check_digest(data, manifest.config.digest, what)
    document = _decode(_Config, data, what)
    diff_ids = document.rootfs.diff_ids or ()
    if bad := next((text for text in diff_ids if not is_digest(text)), None):
        raise InvalidArgument(f"{what}: rootfs.diff_ids has {bad[:160]!r}, which is no digest")
    if len(diff_ids) != len(manifest.layers):
        raise InvalidArgument(f"{what} names {len(diff_ids)} layers, its manifest {len(manifest.layers)}")
    return Config(_defaults(document.config or _Process()), diff_ids, document.architecture)


def _defaults(process: _Process) -> ImageDefaults:
    return ImageDefaults(
        user=process.User or "",
        env=process.Env or (),
        entrypoint=process.Entrypoint or (),
        cmd=process.Cmd or (),
        working_dir=process.WorkingDir or "",
        stop_signal=process.StopSignal or "",
        volumes=tuple(sorted(process.Volumes or ())),
        labels=process.Labels or {},
    )


def _check_descriptors(descriptors: tuple[Descriptor, ...], what: str) -> None:
    for descriptor in descriptors:
        if not is_digest(descriptor.digest):
            raise InvalidArgument(f"{what}: {descriptor.digest[:160]!r} is no digest")
        if descriptor.size < 0:
            raise InvalidArgument(f"{what}: blob {descriptor.digest} has size {descriptor.size}")


def _check_layers(manifest: Manifest, what: str) -> None:
    if len(manifest.layers) > LAYER_LIMIT:
        raise ResourceExhausted(f"{what} has {len(manifest.layers)} layers; at most {LAYER_LIMIT} can be mounted")
    if manifest.config.size > DOCUMENT_LIMIT:
        raise ResourceExhausted(f"{what}: the config has {manifest.config.size} bytes, more than {DOCUMENT_LIMIT}")
    for layer in manifest.layers:
        if "foreign" in layer.mediaType:
            raise InvalidArgument(f"{what}: layers of type {layer.mediaType} are not supported")


def _decode(kind: type[T], data: bytes, what: str) -> T:
    if len(data) > DOCUMENT_LIMIT:
        raise ResourceExhausted(f"{what} has more than {DOCUMENT_LIMIT} bytes")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{what} cannot be read: {error}") from error
