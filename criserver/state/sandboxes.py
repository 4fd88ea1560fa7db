"""Sandbox rows. The UNIQUE index on (name, namespace, uid, attempt) is what reserves a pod's name."""

from __future__ import annotations

import sqlite3

from criserver.errors import AlreadyExists, CriError
from criserver.model.sandbox import PodMetadata, Sandbox
from criserver.state.codec import encode
from criserver.state.repository import Repository


class Sandboxes(Repository[Sandbox]):
    """The repository of sandboxes; reads come from memory, writes are commits."""

    noun = "pod sandbox"
    table = "sandboxes"
    kind = Sandbox

    def named(self, metadata: PodMetadata) -> Sandbox | None:
        """The sandbox that holds this name, uid and attempt."""
        return next((row for row in self if row.config.metadata == metadata), None)

    def columns(self, record: Sandbox) -> dict[str, object]:
        """The row of a sandbox, by column."""
        meta = record.config.metadata
        return {
            "id": record.id,
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "attempt": meta.attempt,
            "state": record.state,
            "record": encode(record),
        }

    def refused(self, record: Sandbox, error: sqlite3.IntegrityError) -> CriError:
        """The name is taken: say by whom and what to do."""
        meta = record.config.metadata
        holder = self.named(meta)
        return AlreadyExists(
            f"pod {meta.namespace}/{meta.name} (uid {meta.uid!r}, attempt {meta.attempt}) already exists as sandbox "
            f"{holder.id if holder else 'being created'}: remove it first, or ask with a higher attempt"
        )
