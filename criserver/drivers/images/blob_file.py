"""A blob that is a file already. Port `BlobStream`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from criserver.kernel.offload import offload


class BlobFile:
    """An open file."""

    checked = False

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def silent(self) -> bool:
        """A file always has something to read."""
        return False

    async def finish(self) -> None:
        """All of it is there."""


@asynccontextmanager
async def open_file(path: str) -> AsyncIterator[BlobFile]:
    """The regular file at `path`; no link is followed."""
    fd = await offload(os.open, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield BlobFile(fd)
    finally:
        os.close(fd)
