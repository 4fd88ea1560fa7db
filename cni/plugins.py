"""Finding plugin programs, running them, and turning their answers into values or exceptions (spec, section 2).

`Plugins` is the one place that executes; `answer` is the pure judgement of what came back. What is asked for is
`request`'s.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .attachment import Attachment
from .config import check_type
from .errors import (
    CniError,
    DecodeFailure,
    InvalidParameter,
    IOFailure,
    PluginCrashed,
    PluginNotFound,
    PluginTimeout,
    from_code,
)
from .execute import Completed, Exec, run
from .fields import FieldError, decode, encode
from .request import environment
from .version import NEWEST

LIMITS: Mapping[str, float] = {"ADD": 120, "DEL": 60, "CHECK": 60, "GC": 120, "STATUS": 10, "VERSION": 5}
"""Seconds that one plugin may take. A kubelet gives a whole RunPodSandbox four minutes, and DHCP is slow."""

BUSY_RETRIES = 5
BUSY_PAUSE = 0.2
"""A program that is being replaced cannot be executed (ETXTBSY): tries, and seconds between them."""

Identity = tuple[int, int, int, int]


class Plugins:
    """The plugin programs of `bin_dirs`, searched in that order.

    `execute` runs them; `limits` replaces entries of `LIMITS`. Raises InvalidParameter for a directory that CNI_PATH
    cannot carry.
    """

    def __init__(
        self, bin_dirs: Iterable[str], *, execute: Exec = run, limits: Mapping[str, float] | None = None
    ) -> None:
        self.bin_dirs = tuple(bin_dirs)
        for directory in self.bin_dirs:
            if not directory.startswith("/") or ":" in directory or "\0" in directory:
                raise InvalidParameter(f'plugin directory {directory[:64]!r} must be an absolute path without ":"')
        self._execute = execute
        self._limits = {**LIMITS, **(limits or {})}
        self._versions: dict[str, tuple[Identity, frozenset[str]]] = {}

    def find(self, plugin: str) -> str:
        """Return the path of a plugin's program. Raises PluginNotFound; InvalidNetworkConfig for a bad type."""
        check_type(plugin, "plugin type")
        refused = ""
        for directory in self.bin_dirs:
            path = os.path.join(directory, plugin)
            if os.path.isfile(path):
                if os.access(path, os.X_OK):
                    return path
                refused = f" ({path} is not executable)"
        raise PluginNotFound(f"not found in {', '.join(self.bin_dirs) or 'any directory'}{refused}", plugin=plugin)

    async def call(
        self, plugin: str, command: str, request: Mapping[str, Any], attachment: Attachment | None = None
    ) -> bytes:
        """Ask a plugin for `command` and return its standard output. Raises the CniError that fits, naming both."""
        argv = [self.find(plugin)]
        env = environment(command, self.bin_dirs, attachment)
        limit = self._limits[command]
        try:
            completed = await self._patiently(argv, env, encode(request), limit)
        except (OSError, ValueError) as error:
            raise IOFailure(f"{argv[0]} cannot be run: {error}", plugin=plugin, command=command) from error
        return answer(plugin, command, completed, limit)

    async def _patiently(self, argv: Sequence[str], env: Mapping[str, str], stdin: bytes, limit: float) -> Completed:
        for _ in range(BUSY_RETRIES):
            try:
                return await self._execute(argv, env=env, stdin=stdin, timeout=limit)
            except OSError as error:
                if error.errno != errno.ETXTBSY:
                    raise
            await asyncio.sleep(BUSY_PAUSE)
        return await self._execute(argv, env=env, stdin=stdin, timeout=limit)

    async def versions(self, plugin: str) -> frozenset[str]:
        """Return the versions of the specification that a plugin speaks; asked once per program file.

        Empty when it cannot tell: a plugin older than VERSION (spec 0.2.0), or one that is failing, which ADD reports
        better. Raises PluginNotFound.
        """
        path = self.find(plugin)
        identity = _identity(path)
        cached = self._versions.get(path)
        if cached and cached[0] == identity:
            return cached[1]
        try:
            speaks = supported(await self.call(plugin, "VERSION", {"cniVersion": NEWEST}), plugin)
        except PluginNotFound:
            raise
        except CniError:
            return frozenset()
        self._versions[path] = (identity, speaks)
        return speaks


def _identity(path: str) -> Identity:
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def supported(output: bytes, plugin: str) -> frozenset[str]:
    """Return the versions in a plugin's answer to VERSION. Raises DecodeFailure."""
    try:
        return frozenset(decode(output, "version result").strings("supportedVersions"))
    except FieldError as error:
        raise DecodeFailure(str(error), plugin=plugin, command="VERSION") from None


def answer(plugin: str, command: str, completed: Completed, limit: float) -> bytes:
    """Return the standard output of a plugin that succeeded, or raise what its failure means.

    The plugin's own words are passed on: its error structure, else its stderr, else its stdout. `limit` is its time in
    seconds.
    """
    words = completed.stderr.decode(errors="replace").strip() or completed.stdout.decode(errors="replace")
    if completed.timed_out:
        raise PluginTimeout(
            f"still running after {limit:g} s, killed with its children", details=words, plugin=plugin, command=command
        )
    if completed.returncode:
        raise _told(plugin, command, completed) or PluginCrashed(
            _ending(completed.returncode), details=words, plugin=plugin, command=command
        )
    if completed.truncated:
        raise DecodeFailure("printed more than is read of a plugin's output", plugin=plugin, command=command)
    return completed.stdout


def _told(plugin: str, command: str, completed: Completed) -> CniError | None:
    """Return the error structure that a failed plugin printed (spec, section 5, "Error"), None when there is none."""
    try:
        error = decode(completed.stdout, "error")
        code, msg, details = error.number("code"), error.text("msg"), error.text("details")
    except FieldError:
        return None
    if not code and not msg:
        return None
    stderr = completed.stderr.decode(errors="replace").strip()
    return from_code(code or 0, msg or "no message", details=details or stderr, plugin=plugin, command=command)


def _ending(returncode: int) -> str:
    if returncode > 0:
        return f"exited with status {returncode} and no error structure"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
