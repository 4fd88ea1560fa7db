"""The real clock (port `Clock`)."""

from __future__ import annotations

import time


class SystemClock:
    """Wall-clock time of this machine."""

    def now(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()
