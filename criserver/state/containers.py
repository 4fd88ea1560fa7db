"""Container rows. The UNIQUE index on (sandbox, name, attempt) reserves a container's name within its pod."""

from __future__ import annotations

import sqlite3

from criserver.errors import AlreadyExists, CriError, NotFound
from criserver.model.container import Container, ContainerMetadata
from criserver.state.codec import encode
from criserver.state.repository import Repository


class Containers(Repository[Container]):
    """The repository of containers; reads come from memory, writes are commits."""

    noun = "container"
    table = "containers"
    kind = Container

    def of(self, sandbox_id: str) -> tuple[Container, ...]:
        """Every container of a sandbox."""
        return tuple(row for row in self if row.sandbox_id == sandbox_id)

    def named(self, sandbox_id: str, metadata: ContainerMetadata) -> Container | None:
        """The container of that name and attempt in a sandbox."""
        return next((row for row in self.of(sandbox_id) if row.config.metadata == metadata), None)

    def columns(self, record: Container) -> dict[str, object]:
        """The row of a container, by column."""
        return {
            "id": record.id,
            "sandbox_id": record.sandbox_id,
            "name": record.config.metadata.name,
            "attempt": record.config.metadata.attempt,
            "image_id": record.image_id,
            "state": record.state,
            "record": encode(record),
        }

    def refused(self, record: Container, error: sqlite3.IntegrityError) -> CriError:
        """The name is taken, or the sandbox went away meanwhile."""
        meta = record.config.metadata
        holder = self.named(record.sandbox_id, meta)
        if holder is None:
            return NotFound(f"pod sandbox {record.sandbox_id!r} does not exist")
        return AlreadyExists(
            f"container {meta.name!r} (attempt {meta.attempt}) already exists in sandbox {record.sandbox_id} as "
            f"{holder.id}: remove it first, or ask with a higher attempt"
        )
