"""Time, so that lifecycle tests need not wait."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> int:
        """Nanoseconds since the epoch."""
        ...
