"""Files of cgroups that are read again and again, kept open: opening them takes longer than reading most of them.

A file of a cgroup that is gone answers ENODEV, and one that was made anew under the same name is opened anew. An open
one keeps no cgroup from being removed. Not safe for several threads: whoever reads is one.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from typing import Final

MOST: Final = 4096
IDLE_SECONDS: Final = 60.0
_READ_LIMIT: Final = 64 << 10  # bytes of a file: the longest, memory.stat and io.stat, stay far below it


class OpenFiles:
    """Open files by their paths; at most so many, and none longer than a while after its last reading."""

    def __init__(
        self, most: int = MOST, clock: Callable[[], float] = time.monotonic, idle: float = IDLE_SECONDS
    ) -> None:
        """`most` is lowered to a quarter of what this process may open; `idle` is that while, in seconds."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = most if limit == resource.RLIM_INFINITY else min(most, limit // 4)
        self._clock, self._idle = clock, idle
        self._open: dict[str, tuple[int, float]] = {}

    def read(self, path: str) -> str:
        """What the file says now; "" when it is not there, or has nothing to say."""
        known = self._open.pop(path, None)
        if known is not None and (text := self._pread(path, known[0])):
            return text
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ""
        return self._pread(path, fd)

    def tidy(self) -> None:
        """Close what nobody has read for a while, and what is too much; now and then is enough."""
        old = self._clock() - self._idle
        # The one that was read last is the last one.
        while self._open and (len(self._open) > self._most or next(iter(self._open.values()))[1] < old):
            fd, _ = self._open.pop(next(iter(self._open)))
            os.close(fd)

    def _pread(self, path: str, fd: int) -> str:
        try:
            text = os.pread(fd, _READ_LIMIT, 0).decode("ascii", "replace")
        except OSError:  # ENODEV once the cgroup is gone, EOPNOTSUPP where PSI is switched off
            text = ""
        if text:
            self._open[path] = fd, self._clock()
        else:
            os.close(fd)
        return text
