"""Which new ids have reached their caller.

A create whose caller gave up is not a name taken: the retry gets the id that nobody has read yet. Once an id has been
read, asking for its name again is a mistake and is told so. Noted in memory at once and in the row soon after: a
crash in between costs nothing but one more retry that is answered instead of refused.
"""

from __future__ import annotations

from criserver.lifecycle.tasks import Tasks
from criserver.model.container import Container
from criserver.model.sandbox import Sandbox
from criserver.state.containers import Containers
from criserver.state.sandboxes import Sandboxes


class Deliveries:
    """Notes ids of sandboxes and containers that a caller has."""

    def __init__(self, sandboxes: Sandboxes, containers: Containers, tasks: Tasks) -> None:
        self._repositories = (sandboxes, containers)
        self._tasks = tasks
        self._noted: set[str] = set()

    def note(self, key: str) -> None:
        """The caller has this id."""
        if key not in self._noted:
            self._noted.add(key)
            self._tasks.spawn(self._store(key), name=f"delivered {key[:12]}")

    def noted(self, row: Sandbox | Container) -> bool:
        """Whether a caller has the row's id."""
        return row.delivered or row.id in self._noted

    async def _store(self, key: str) -> None:
        for repository in self._repositories:
            if repository.find(key) is not None:
                await repository.update(key, delivered=True)
        self._noted.discard(key)
