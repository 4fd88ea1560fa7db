"""An image as skopeo's "dir" transport lays it out: manifest.json and one file per blob, named by its digest.

Read as untrusted: bounded, regular files only, digests checked. That transport keeps manifests as they came, whatever
their format; a copy into an OCI layout would rewrite Docker's and so change the image's id.
"""

from __future__ import annotations

import os
from functools import partial

from criserver.drivers.images.blob_file import open_file
from criserver.drivers.images.described import Opener, described
from criserver.drivers.images.manifests import DOCUMENT_LIMIT, Descriptor, Manifest, parse_manifest
from criserver.errors import DataLoss, InvalidArgument
from criserver.kernel.fds import read_in_root
from criserver.ports.registry import FetchedImage


def read_image(directory: str, what: str) -> FetchedImage:
    """The image in `directory`; `what` names it in errors. DataLoss when a part is missing or damaged. Blocks."""
    content = _read(directory, "manifest.json", what)
    manifest = parse_manifest(content, f"manifest of {what}")
    if not isinstance(manifest, Manifest):
        raise InvalidArgument(f"{what} is an index, not an image")
    config = _read(directory, _blob_name(directory, manifest.config.digest), what)
    def opener(layer: Descriptor) -> Opener:
        return partial(open_file, os.path.join(directory, _blob_name(directory, layer.digest)))

    return described(content, manifest, config, what, opener)


def _blob_name(directory: str, digest: str) -> str:
    """The file of the blob with this (validated) digest; newer skopeos mark digests other than sha256."""
    algorithm, _, hexadecimal = digest.partition(":")
    marked = f"{algorithm}-{hexadecimal}"
    return marked if os.path.lexists(os.path.join(directory, marked)) else hexadecimal


def _read(directory: str, name: str, what: str) -> bytes:
    try:
        return read_in_root(directory, name, DOCUMENT_LIMIT)
    except OSError as error:
        raise DataLoss(f"{what}: {name} cannot be read: {error.strerror}") from error
