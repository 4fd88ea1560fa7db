"""The host's files as containers meet them: reads inside a root, mount sources, the directory of a log."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from criserver.drivers.host import questions
from criserver.drivers.host.far_paths import far
from criserver.errors import DeadlineExceeded, Internal, InvalidArgument
from criserver.kernel import mount, process
from criserver.kernel.fds import read_in_root
from criserver.kernel.offload import offload
from criserver.model.host import HostDevice, MountSource, SourcePropagation

T = TypeVar("T")
ANSWER_SECONDS = 10.0
PER_MOUNT = 4
_PACKAGES = str(Path(__file__).parents[3])
_HELPER = "import sys; sys.path.insert(0, sys.argv[1]); from criserver.drivers.host.questions import main; main()"


class HostDriver:
    """Implements `ports.host.Host`.

    Paths that a request names may lie on a network mount whose server is gone, where a stat never returns, not even
    for SIGKILL. So what may hang is asked by a process (see `far_paths`), which is waited for at most ANSWER_SECONDS
    and left behind then. A mount that does not answer holds up questions about itself alone, and no more than
    PER_MOUNT processes.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="host-path")
        self._asking: dict[str, asyncio.Semaphore] = {}

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
        real, kind, below = await self._answer(path, questions.source)
        return MountSource(real, SourcePropagation(kind), tuple(below))

    async def devices(self, path: str) -> tuple[HostDevice, ...]:
        """The device node at `path`, or every one below a directory."""
        found = await self._answer(path, questions.devices)
        if not found:
            raise InvalidArgument(f"devices: {path!r} is no device and has none in it; give the path of a device node")
        return tuple(HostDevice(*fields) for fields in found)

    async def profile(self, path: str) -> Mapping[str, Any]:
        """A seccomp profile."""
        try:
            profile = json.loads(await self._answer(path, questions.small_file))
        except ValueError as error:
            raise InvalidArgument(f"seccomp profile {path!r} is not JSON: {error}") from error
        if not isinstance(profile, dict):
            raise InvalidArgument(f"seccomp profile {path!r} is not a JSON object")
        return profile

    async def check_directory(self, path: str) -> None:
        """InvalidArgument unless `path` is a directory."""
        mode = await self._answer(path, questions.mode)
        if not mode:
            raise InvalidArgument(f"log directory {path!r} does not exist: make it before the container")
        if not stat.S_ISDIR(mode):
            raise InvalidArgument(f"log directory {path!r} is no directory: give the path of one")

    async def _answer(self, path: str, question: Callable[[str], Any]) -> Any:
        mount_point = ""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                mount_point = await self._thread(_far, path, question)
                if not mount_point:
                    return await self._thread(question, path)
                return await self._ask(mount_point, question.__name__, path)
        except TimeoutError:
            where = f" on {mount_point}" if mount_point else ""
            raise DeadlineExceeded(
                f"host path {path!r}{where} did not answer for {ANSWER_SECONDS:.0f} s: a mount whose server is gone?"
            ) from None
        except OSError as error:
            raise InvalidArgument(f"host path {path!r} cannot be used: {error.strerror}") from error

    async def _thread(self, function: Callable[..., T], *arguments: object) -> T:
        # Not `offload`, which waits for the end of what has begun: here a bound on the time counts more.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments))

    async def _ask(self, mount_point: str, question: str, path: str) -> Any:
        """What a process of its own finds; it holds one of the mount's places until it has ended, however late."""
        places = self._asking.setdefault(mount_point, asyncio.Semaphore(PER_MOUNT))
        await places.acquire()
        argv = (sys.executable, "-I", "-c", _HELPER, _PACKAGES, question, path)
        done = await process.run(argv, dying=0.1, ended=places.release)
        if done.returncode:
            raise Internal(f"the helper that looks at host paths failed: {done.failure}")
        said = json.loads(done.stdout)
        if "error" in said:
            raise OSError(*said["error"], path)
        return said["answer"]


def _far(path: str, question: Callable[[str], Any]) -> str:
    return far(path, mount.types(), below=question is questions.devices)


def _filled_by_others(root: str) -> tuple[str, ...]:
    """Names of what the runtime fills that are something else than a directory."""
    found = {name: f"{root}/{name}" for name in ("dev", "proc", "sys")}
    return tuple(
        name for name, path in found.items() if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode)
    )
