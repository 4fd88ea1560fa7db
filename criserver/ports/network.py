"""The pod network: CNI as the lifecycle sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from criserver.model.sandbox import SandboxConfig


@dataclass(frozen=True, slots=True)
class Attachment:
    """What the network gave a pod: its addresses (without prefix length) and the network's name."""

    network: str
    ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """NetworkReady condition: `reason` and `message` explain a network that is not ready."""

    ready: bool
    reason: str = ""
    message: str = ""


class Network(Protocol):
    """Join pods to the default CNI network."""

    async def add(self, sandbox_id: str, config: SandboxConfig, netns: str) -> Attachment:
        """CNI ADD; NetworkFailed carries the plugin's words. The result is cached before this returns."""
        ...

    async def remove(self, sandbox_id: str, config: SandboxConfig, netns: str) -> None:
        """CNI DEL with the cached result, also when `netns` is gone; NetworkFailed when a plugin still refuses."""
        ...

    async def status(self) -> NetworkStatus:
        """Whether a network configuration is loaded and its plugins are ready (CNI STATUS)."""
        ...

    async def settle(self) -> None:
        """Wait until nothing works on the network that an earlier server has started. Before anything is undone."""
        ...

    async def gc(self, alive: frozenset[str]) -> None:
        """Drop attachments of sandboxes not in `alive`: DEL from the cache, then CNI GC where supported."""
        ...
