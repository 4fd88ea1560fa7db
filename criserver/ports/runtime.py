"""The OCI runtime (runc, crun) beyond `create` and `exec`, which the monitor runs itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Handler:
    """A runtime handler of the configuration, resolved on this host.

    `command` is the argv prefix that every runtime call starts with: the binary, its --root and cgroup driver flags.
    `lacks_user_namespaces` says why pods cannot have user namespaces of their own with it, "" where they can.
    `maps_single_mounts`: an idmapped mount of it lacks what is mounted below its source.
    """

    name: str
    type: str
    path: str
    command: tuple[str, ...]
    recursive_read_only_mounts: bool = False
    lacks_user_namespaces: str = ""
    maps_single_mounts: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The name of the default handler, and in words why it is the one."""

    handler: str
    reason: str


class Runtime(Protocol):
    """Calls of the runtime binary for one container, and what it says of itself."""

    @property
    def choice(self) -> Choice:
        """The default handler, whether or not it can be used, and why it is the one."""
        ...

    def handler(self, name: str) -> Handler:
        """The handler of that name, "" for the default one; InvalidArgument lists those that exist."""
        ...

    def handlers(self) -> tuple[Handler, ...]:
        """Every configured handler that can be used on this host, the default first."""
        ...

    async def start(self, handler: str, container_id: str) -> None:
        """Start the created container; RuntimeFailed carries the runtime's words (command not found, ...)."""
        ...

    async def delete(self, handler: str, container_id: str) -> None:
        """Delete with force what the runtime knows of the container, cgroup included. Unknown ids are fine."""
        ...

    async def update(self, handler: str, container_id: str, limits: Mapping[str, Any]) -> None:
        """Set limits (OCI linux.resources) of a container that lives; RuntimeFailed carries the runtime's words."""
        ...

    async def version(self) -> str:
        """The default runtime's version, e.g. "1.1.5"; Unavailable when the binary is missing."""
        ...
