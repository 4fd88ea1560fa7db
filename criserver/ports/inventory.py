"""Inventory: everything that pods and containers of this server have of the kernel and on disk, found without rows."""

from __future__ import annotations

from typing import Protocol

from criserver.model.findings import Thing


class Inventory(Protocol):
    """Looks, and changes nothing."""

    async def things(self) -> tuple[Thing, ...]:
        """What is there now, but cgroups: their names do not tell whose they are, so they are asked for by path."""
        ...
