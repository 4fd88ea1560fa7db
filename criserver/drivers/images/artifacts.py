"""OCI artifacts: what a registry holds that is no root file system, such as a model (OCI image-spec manifest.md).

Each of its layers is a file, whatever bytes it holds, under the name that an annotation gives it; that is how CRI-O
mounts artifacts as well. Its id is its manifest's digest, since many share one empty config. Pure.
"""

from __future__ import annotations

import hashlib

from criserver.drivers.images.manifests import Descriptor, Manifest, digest_of
from criserver.errors import InvalidArgument

_CONFIGS = (
    "",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
)
"""Types of configs of images; the last one is Docker's of long ago."""
_NAMES = ("org.opencontainers.image.title", "org.cncf.model.filepath", "org.cnai.model.filepath")
"""Annotations that name a layer's file: ORAS's, and those of packed models by their newer and older name."""
NAME_LIMIT = 1024


def artifact_type(manifest: Manifest) -> str:
    """What kind of artifact a manifest describes; "" for an image."""
    kind = manifest.config.mediaType
    return "" if kind in _CONFIGS else manifest.artifactType or kind


def identity(manifest: Manifest, content: bytes) -> str:
    """The id of the image or artifact whose manifest `content` is."""
    return digest_of(content) if artifact_type(manifest) else manifest.config.digest


def file_name(layer: Descriptor) -> str:
    """The path of the layer's file, which may have directories; the digest where nothing names it.

    InvalidArgument for a name that leads elsewhere.
    """
    annotations = layer.annotations or {}
    name = next((annotations[key] for key in _NAMES if annotations.get(key)), "")
    if not name:
        return layer.digest.replace(":", "-")
    parts = name.removeprefix("./").split("/")
    if len(name) > NAME_LIMIT or any(part in ("", ".", "..") or _odd(part) for part in parts):
        raise InvalidArgument(f"layer {layer.digest} of an artifact: {name[:200]!r} cannot be the name of a file")
    return "/".join(parts)


def tree_digest(layer: Descriptor, name: str) -> str:
    """What stands for the tree of a layer that is a file: the same bytes under another name are another tree."""
    words = b"".join(_framed(part) for part in ("file", name, layer.digest))
    return f"sha256:{hashlib.sha256(words).hexdigest()}"


def _odd(part: str) -> bool:
    return "\0" in part or len(part.encode("utf-8", "replace")) > 255


def _framed(text: str) -> bytes:
    data = text.encode()
    return b"%d:%b" % (len(data), data)
