"""Seals of images: under which demands of the signature policy each was fetched. They go with their image."""

from __future__ import annotations

from collections.abc import Sequence

from criserver.state.additional import AdditionalStore
from criserver.state.db import Database


class Seals:
    """The repository of seals.

    An image is its content, so a seal of an additional store counts for an own image too.
    """

    def __init__(self, database: Database, additional: Sequence[AdditionalStore] = ()) -> None:
        self._database, self._stores = database, tuple(additional)

    async def add(self, image_id: str, demand: str) -> None:
        """Note that the image was fetched under `demand`; nothing when it has gone. Idempotent."""
        query = "INSERT OR IGNORE INTO image_seals SELECT id, ? FROM images WHERE id = ?"
        await self._database.write(lambda connection: connection.execute(query, (demand, image_id)))

    async def has(self, image_id: str, demand: str) -> bool:
        """Whether the image was fetched under `demand`."""
        if any(demand in store.seals.get(image_id, ()) for store in self._stores):
            return True
        query = "SELECT 1 FROM image_seals WHERE image_id = ? AND demand = ?"
        row = await self._database.write(lambda connection: connection.execute(query, (image_id, demand)).fetchone())
        return row is not None
