"""An image as its documents describe it: manifest and config, both checked, and where its layers can be had. Pure."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from criserver.drivers.images.manifests import Descriptor, Manifest, parse_config
from criserver.ports.registry import BlobStream, FetchedImage, LayerBlob

Opener = Callable[[], AbstractAsyncContextManager[BlobStream]]


def described(
    content: bytes, manifest: Manifest, config: bytes, what: str, opener: Callable[[Descriptor], Opener]
) -> FetchedImage:
    """The image of a parsed manifest (`content` is its bytes) and its config; `opener` tells how a layer is had.

    `what` names it in errors: DataLoss or InvalidArgument when the config is not the one that the manifest names.
    """
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
