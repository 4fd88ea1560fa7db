"""Pinned namespaces: a pod's net, ipc, uts, pid and user, held by bind mounts and named by the sandbox id."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from criserver.model.security import UserNamespace


class Namespaces(Protocol):
    """Make, find and drop the namespaces of a sandbox."""

    def path(self, sandbox_id: str, kind: str) -> str:
        """Where the namespace of that kind ("net", "ipc", "uts", "pid", "user") is or would be pinned."""
        ...

    async def pin(
        self,
        sandbox_id: str,
        kinds: AbstractSet[str],
        *,
        hostname: str = "",
        sysctls: Mapping[str, str] | None = None,
        userns: UserNamespace | None = None,
    ) -> None:
        """Create and pin namespaces; loopback up in a new net, hostname set in a new uts, sysctls written inside.

        With `userns` a user namespace with its mappings is pinned too, and owns the others.
        """
        ...

    async def pin_pid(self, sandbox_id: str, pid: int) -> None:
        """Pin the PID namespace of process `pid` (the pod init)."""
        ...

    async def unpin(self, sandbox_id: str) -> None:
        """Drop every pinned namespace of the sandbox. Idempotent."""
        ...

    async def pinned(self) -> Mapping[str, frozenset[str]]:
        """Sandbox id → kinds, as the kernel has them now; for garbage collection."""
        ...
