"""The host as containers meet it: bounded reads inside a container's root, and mount sources."""

from __future__ import annotations

from typing import Protocol


class Host(Protocol):
    """Questions about the host's and a root's files, each off the event loop and with a deadline."""

    async def read_in_root(self, root: str, path: str, limit: int) -> str:
        """Text of a regular file inside `root`, links resolved within it; "" when missing.

        InvalidArgument for anything that is no regular file or is larger than `limit` bytes (CVE-2026-47262).
        """
        ...

    async def mount_source(self, path: str) -> str:
        """The real path of a bind mount's source, made as a directory when it is missing.

        DeadlineExceeded when the file system does not answer (a dead network mount).
        """
        ...

    async def check_directory(self, path: str) -> None:
        """InvalidArgument unless `path` is a directory."""
        ...
