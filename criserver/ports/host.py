"""The host as containers meet it: bounded reads inside a container's root, and mount sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from criserver.model.host import HostDevice, MountSource


class Host(Protocol):
    """Questions about the host's and a root's files, each off the event loop and with a deadline."""

    async def read_in_root(self, root: str, path: str, limit: int) -> str:
        """Text of a regular file inside `root`, links resolved within it; "" when missing.

        InvalidArgument for anything that is no regular file or is larger than `limit` bytes (CVE-2026-47262).
        """
        ...

    async def check_root(self, root: str) -> None:
        """InvalidArgument when /dev, /proc or /sys of a root is there but no directory, such as a link.

        A runtime fills them; through a link it would fill a directory of the host (CVE-2026-41579, CVE-2019-19921).
        """
        ...

    async def mount_source(self, path: str) -> MountSource:
        """A bind mount's source, links followed, made as a directory when it is missing.

        DeadlineExceeded when the file system does not answer (a dead network mount).
        """
        ...

    async def devices(self, path: str) -> tuple[HostDevice, ...]:
        """The device node at `path`, or every one below a directory; InvalidArgument when there is none."""
        ...

    async def profile(self, path: str) -> Mapping[str, Any]:
        """A seccomp profile, a JSON object in a bounded regular file; InvalidArgument when it is anything else."""
        ...

    async def check_directory(self, path: str) -> None:
        """InvalidArgument unless `path` is a directory."""
        ...
