"""What files of the operator add to containers: CDI devices by name, and hooks."""

from __future__ import annotations

from typing import Protocol

from criserver.model.edits import Edits, HookRule


class Injections(Protocol):
    """The files as they are now."""

    async def devices(self, names: tuple[str, ...]) -> Edits:
        """What the CDI devices of these full names come to, together.

        InvalidArgument for what is no name; FailedPrecondition names devices that are not there or are there twice.
        """
        ...

    async def hooks(self) -> tuple[HookRule, ...]:
        """The rules of the hooks directories, in the order in which their hooks run.

        FailedPrecondition names a file that cannot be used: a container must not start without its hook.
        """
        ...
