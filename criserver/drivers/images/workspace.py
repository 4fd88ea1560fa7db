"""Private directories for pulls and imports, at <root>/tmp/pull-<random> (port `Workspaces`).

0700, and gone with their user or at start-up.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from criserver.errors import ResourceExhausted
from criserver.kernel.offload import offload
from criserver.kernel.trees import remove_tree

_PREFIX = "pull-"


class Workspaces:
    """The directory of directories."""

    def __init__(self, root: str) -> None:
        """`root` is the server's directory; "tmp" below it is made when it is not there."""
        self._parent = os.path.join(root, "tmp")
        os.makedirs(self._parent, mode=0o700, exist_ok=True)
        self._open: set[str] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """A fresh directory, as long as the context lasts. A full disk becomes ResourceExhausted on its way out."""
        name = f"{_PREFIX}{secrets.token_hex(8)}"
        path = f"{self._parent}/{name}"
        self._open.add(name)
        try:
            await offload(os.mkdir, path, 0o700)
            yield path
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ResourceExhausted(f"no space left in {self._parent} for a pull: {error}") from error
            raise
        finally:
            await offload.surely(remove_tree, path)
            self._open.discard(name)

    async def left_over(self) -> frozenset[str]:
        """Names of those that nobody has open: their removal has failed."""
        return frozenset(await offload(os.listdir, self._parent)) - self._open

    async def discard(self, names: frozenset[str]) -> None:
        """Delete some of them. Idempotent."""
        for name in names:
            await offload(remove_tree, f"{self._parent}/{name}")

    async def clear(self) -> None:
        """Remove every directory that a killed server has left."""
        await offload(self._clear)

    def _clear(self) -> None:
        for name in os.listdir(self._parent):
            if name.startswith(_PREFIX):
                remove_tree(f"{self._parent}/{name}")
