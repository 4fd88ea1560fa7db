"""An image or artifact as its documents describe it: both of them checked, and where its layers can be had. Pure."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from criserver.drivers.images.artifacts import artifact_type, file_name, identity, tree_digest
from criserver.drivers.images.manifests import Descriptor, Manifest, check_digest, encrypted, parse_config
from criserver.errors import FailedPrecondition
from criserver.model.image import ImageDefaults
from criserver.ports.registry import BlobStream, FetchedImage, LayerBlob

Opener = Callable[[], AbstractAsyncContextManager[BlobStream]]


def described(
    content: bytes, manifest: Manifest, config: bytes, what: str, opener: Callable[[Descriptor], Opener]
) -> FetchedImage:
    """The image or artifact of a parsed manifest (`content` is its bytes) and its config.

    `opener` tells how a layer is had, `what` names it in errors: DataLoss or InvalidArgument when the config is not the
    one that the manifest names, FailedPrecondition when layers are encrypted.
    """
    if layer := encrypted(manifest):
        hint = "put the private key into the directory of image.decryption_keys_path"
        raise FailedPrecondition(f"{what}: layer {layer.digest} is encrypted ({layer.mediaType}): {hint}")
    if kind := artifact_type(manifest):
        return _artifact(kind, content, manifest, config, what, opener)
    parsed = parse_config(config, manifest, f"config of {what}")
    return FetchedImage(
        id=manifest.config.digest,
        manifest=content,
        config=config,
        defaults=parsed.defaults,
        layers=tuple(
            LayerBlob(layer.digest, diff_id, layer.size, opener(layer))
            for layer, diff_id in zip(manifest.layers, parsed.diff_ids, strict=True)
        ),
        annotations=manifest.annotations or {},
    )


def _artifact(
    kind: str, content: bytes, manifest: Manifest, config: bytes, what: str, opener: Callable[[Descriptor], Opener]
) -> FetchedImage:
    check_digest(config, manifest.config.digest, f"config of {what}")
    files = [(layer, file_name(layer)) for layer in manifest.layers]
    return FetchedImage(
        id=identity(manifest, content),
        manifest=content,
        config=b"",  # which may be anything, and not JSON
        defaults=ImageDefaults(),
        layers=tuple(
            LayerBlob(layer.digest, tree_digest(layer, name), layer.size, opener(layer), name)
            for layer, name in files
        ),
        annotations=manifest.annotations or {},
        artifact=kind,
    )
