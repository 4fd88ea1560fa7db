"""Files that an operator puts into directories, parsed once and again when one of them changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from criserver.kernel.fds import read_in_root

T = TypeVar("T")
MAX_BYTES = 1 << 20
MAX_FILES = 1000
_Sign = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class OperatorFile:
    """A file: `priority` is the number of its directory; `fault` says why there is no text."""

    path: str
    priority: int
    text: str
    fault: str = ""


class OperatorFiles(Generic[T]):
    """What the files of some directories mean."""

    def __init__(
        self,
        directories: Callable[[], Sequence[str]],
        extensions: tuple[str, ...],
        parse: Callable[[Sequence[OperatorFile]], T],
    ) -> None:
        """`parse` gets the files in the order of the directories and their names, hidden ones left out."""
        self._directories, self._extensions, self._parse = directories, extensions, parse
        self._known: tuple[_Sign, T] | None = None

    def current(self) -> T:
        """As it is on the disk now (blocks). A directory that is missing has no files."""
        sign, paths = self._look()
        known = self._known
        if known is None or known[0] != sign:
            known = self._known = (sign, self._parse([_read(path, priority) for path, priority in paths]))
        return known[1]

    def _look(self) -> tuple[_Sign, list[tuple[str, int]]]:
        """What would change if a file did, and the files."""
        sign, paths = [], []
        for priority, directory in enumerate(self._directories()):
            for name in self._names(directory):
                path = os.path.join(directory, name)
                status = _status(path)
                if status and not stat.S_ISDIR(status.st_mode):
                    sign.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
                    paths.append((path, priority))
        return tuple(sign), paths

    def _names(self, directory: str) -> list[str]:
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if name.endswith(self._extensions) and name[0] != ".")[:MAX_FILES]


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None  # A link to nothing, or gone since.


def _read(path: str, priority: int) -> OperatorFile:
    try:
        return OperatorFile(path, priority, read_in_root("/", path, MAX_BYTES).decode())
    except (OSError, ValueError) as error:
        return OperatorFile(path, priority, "", str(error))
