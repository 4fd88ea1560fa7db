"""The files that a pod's containers share: hosts, resolv.conf, hostname and the /dev/shm mount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from criserver.model.sandbox import SandboxConfig


@dataclass(frozen=True, slots=True)
class PodPaths:
    """Host paths of the shared files; `shm` is "/dev/shm" for a pod in the node's IPC namespace."""

    hosts: str
    resolv_conf: str
    hostname: str
    shm: str


class PodFiles(Protocol):
    """Write and drop a pod's shared files; names derive from the sandbox id."""

    def paths(self, sandbox_id: str, config: SandboxConfig) -> PodPaths:
        """Where they are or would be."""
        ...

    async def create(self, sandbox_id: str, config: SandboxConfig, hostname: str) -> None:
        """Write the files and mount /dev/shm. Idempotent."""
        ...

    async def unmount(self, sandbox_id: str) -> None:
        """Take the /dev/shm mount away, keep the files. Idempotent."""
        ...

    async def remove(self, sandbox_id: str) -> None:
        """Unmount and delete everything of the pod. Idempotent."""
        ...

    async def list(self) -> frozenset[str]:
        """Ids of sandboxes that have files, for garbage collection."""
        ...
