"""The host's files as containers meet them: reads inside a root, mount sources, the directory of a log."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from criserver.errors import DeadlineExceeded, InvalidArgument
from criserver.kernel.fds import read_in_root
from criserver.kernel.offload import offload

T = TypeVar("T")
ANSWER_SECONDS = 10.0


class HostDriver:
    """Implements `ports.host.Host`.

    Paths that a request names may lie on a network mount whose server is gone, where a stat never returns: such calls
    have threads of their own, are waited for at most ANSWER_SECONDS, and only ever hold up each other.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="host-path")

    async def read_in_root(self, root: str, path: str, limit: int) -> str:
        """Text of a regular file inside `root`; "" when missing, InvalidArgument when it is odd or too large."""
        try:
            return (await offload(read_in_root, root, path, limit)).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise InvalidArgument(f"image: its {path} cannot be used: {error}") from error

    async def mount_source(self, path: str) -> str:
        """The real path of a mount's source, made as a directory when missing."""
        return await self._answer(path, _real_source)

    async def check_directory(self, path: str) -> None:
        """InvalidArgument unless `path` is a directory."""
        if not await self._answer(path, os.path.isdir):
            raise InvalidArgument(f"log directory {path!r} does not exist: make it before the container")

    async def _answer(self, path: str, question: Callable[[str], T]) -> T:
        answer = asyncio.get_running_loop().run_in_executor(self._threads, question, path)
        try:
            return await asyncio.wait_for(asyncio.shield(answer), ANSWER_SECONDS)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{path!r} did not answer for {ANSWER_SECONDS:.0f} s: a mount whose server is gone?"
            ) from None
        except OSError as error:
            raise InvalidArgument(f"host path {path!r} cannot be used: {error.strerror}") from error


def _real_source(path: str) -> str:
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        os.makedirs(real, mode=0o755, exist_ok=True)
    return real
