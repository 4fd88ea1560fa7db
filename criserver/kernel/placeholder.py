"""A process that is only there: systemd makes a scope around processes that exist, and removes an empty one.

It ends when it is told to, and at the latest with this process, whose pipe it reads.
"""

from __future__ import annotations

import os

from criserver.errors import FailedPrecondition
from criserver.kernel import libc
from criserver.kernel.process import ENVIRONMENT, find_program


class Placeholder:
    """One such process. Both methods may block for some milliseconds: callers use `offload`."""

    def __init__(self) -> None:
        """Start it. FailedPrecondition when it cannot be."""
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        try:
            streams = [(reader, 0), (null, 1), (null, 2)]
            self.pid = libc.posix_spawn((find_program("cat"),), ENVIRONMENT, streams, "/")
        except (OSError, FailedPrecondition) as error:
            os.close(self._writer)
            raise FailedPrecondition(f"cannot start a process that holds a scope open: {error}") from error
        finally:
            os.close(reader)
            os.close(null)

    def end(self) -> None:
        """End it and wait until it is gone."""
        os.close(self._writer)
        os.waitpid(self.pid, 0)
