"""The host's files as containers meet them: reads inside a root, mount sources, the directory of a log."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from criserver.drivers import devices
from criserver.errors import DeadlineExceeded, InvalidArgument
from criserver.kernel import mount
from criserver.kernel.fds import read_in_root
from criserver.kernel.mount import MountInfo
from criserver.kernel.offload import offload
from criserver.model.host import HostDevice, MountSource, SourcePropagation

T = TypeVar("T")
ANSWER_SECONDS = 10.0
PROFILE_LIMIT = 1 << 20  # bytes of a seccomp profile


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

    async def check_root(self, root: str) -> None:
        """InvalidArgument when /dev, /proc or /sys of a root is there but no directory (CVE-2026-41579)."""
        for name in await offload(_filled_by_others, root):
            raise InvalidArgument(f"image: its /{name} is no directory: a runtime would write where it leads")

    async def mount_source(self, path: str) -> MountSource:
        """A mount's source, links followed, made as a directory when missing."""
        return await self._answer(path, _source)

    async def devices(self, path: str) -> tuple[HostDevice, ...]:
        """The device node at `path`, or every one below a directory."""
        found = await self._answer(path, devices.at)
        if not found:
            raise InvalidArgument(f"devices: {path!r} is no device and has none in it; give the path of a device node")
        return found

    async def profile(self, path: str) -> Mapping[str, Any]:
        """A seccomp profile."""
        try:
            profile = json.loads(await self._answer(path, _small_file))
        except ValueError as error:
            raise InvalidArgument(f"seccomp profile {path!r} is not JSON: {error}") from error
        if not isinstance(profile, dict):
            raise InvalidArgument(f"seccomp profile {path!r} is not a JSON object")
        return profile

    async def check_directory(self, path: str) -> None:
        """InvalidArgument unless `path` is a directory."""
        status = await self._answer(path, _status)
        if status is None:
            raise InvalidArgument(f"log directory {path!r} does not exist: make it before the container")
        if not stat.S_ISDIR(status.st_mode):
            raise InvalidArgument(f"log directory {path!r} is no directory: give the path of one")

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


def _filled_by_others(root: str) -> tuple[str, ...]:
    """Names of what the runtime fills that are something else than a directory."""
    found = {name: f"{root}/{name}" for name in ("dev", "proc", "sys")}
    return tuple(
        name for name, path in found.items() if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode)
    )


def _source(path: str) -> MountSource:
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        os.makedirs(real, mode=0o755, exist_ok=True)
    return MountSource(real, propagation(real, mount.mounts()))


def propagation(path: str, mounts: Iterable[MountInfo]) -> SourcePropagation:
    """How the mount that holds `path` propagates: the last one mounted at the longest prefix counts."""
    around = [each for each in mounts if path == each.target or path.startswith(each.target.rstrip("/") + "/")]
    # Of equals, max takes the first.
    holding = max(reversed(around), key=lambda each: len(each.target), default=None)
    kinds = {field.partition(":")[0] for field in holding.optional} if holding else set()
    if "shared" in kinds:
        return SourcePropagation.SHARED
    return SourcePropagation.SLAVE if "master" in kinds else SourcePropagation.PRIVATE


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _small_file(path: str) -> bytes:
    return read_in_root("/", path, PROFILE_LIMIT)
