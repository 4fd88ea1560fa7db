"""A blob that is no archive but one file: the layer of an OCI artifact.

Works in the current directory, which the helper has made the root of its world and which is empty.
"""

from __future__ import annotations

import os

from criserver.drivers.images.unpack.protocol import exhausted, shown
from criserver.drivers.images.unpack.source import Blob
from criserver.drivers.images.unpack.usage import Usage, usage


def fill(blob: Blob, name: bytes, limit: int) -> Usage:
    """Write the blob, of at most `limit` bytes, into the file `name`, and check its digest; directories are made.

    Nothing says when that file was made, so its time is 0.
    """
    directory = os.path.dirname(name)
    for parent in reversed(_parents(directory)):
        os.mkdir(parent, 0o755)
    written = 0
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "wb", buffering=0) as file:
        while data := blob.read():
            written += len(data)
            if written > limit:
                raise exhausted(f"file {shown(name)} has more than {limit} bytes")
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
    blob.finish()
    for path in (name, *_parents(directory), b"."):
        os.utime(path, (0, 0))
    return usage()


def _parents(directory: bytes) -> list[bytes]:
    """The directory and those that it is in, the innermost first."""
    found = []
    while directory:
        found.append(directory)
        directory = os.path.dirname(directory)
    return found
