"""Private directories of pulls, as a check sees them."""

from __future__ import annotations

from typing import Protocol


class Workspaces(Protocol):
    """Which of them nobody uses."""

    async def left_over(self) -> frozenset[str]:
        """Names of those that no running pull or import has."""
        ...

    async def discard(self, names: frozenset[str]) -> None:
        """Delete some of them. Idempotent."""
        ...
