"""Layer rows: which trees stand on disk, by number, and what they cost.

A row is made before its directory is (not ready), and says ready once the tree stands under its number. So what is on
disk without a row, or under a row that is not ready, is left over from something that did not end, and may go.
`boot` is "" once the tree has been flushed to disk; until then it is the boot (random(4), boot_id) in which the tree
was made, and after another boot nobody knows how much of it is there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from criserver.model.image import Layer
from criserver.state.db import Database


class LayerRepository:
    """Layers of this node; those that are ready are in memory. Every change is one commit."""

    def __init__(self, database: Database, boot: str = "") -> None:
        """Load every row that is ready. `boot` is the boot that we live in."""
        self._database = database
        self._boot = boot
        query = "SELECT number, diff_id, size, inodes, record, boot FROM layers WHERE ready = 1"
        found = [(Layer(*row), str(made)) for *row, made in database.read(query)]  # type: ignore[arg-type]
        self._rows = {layer.diff_id: layer for layer, _ in found}
        self._unflushed = {layer.number for layer, made in found if made == boot and boot}
        self.lost = frozenset(layer.number for layer, made in found if made not in ("", boot))
        """Layers that had not been flushed when the power went: their trees cannot be relied on."""

    def __iter__(self) -> Iterator[Layer]:
        return iter(tuple(self._rows.values()))

    def find(self, diff_id: str) -> Layer | None:
        """The layer with this diff id, when it stands on disk."""
        return self._rows.get(diff_id)

    async def reserve(self, diff_id: str) -> int:
        """A fresh number for a layer that is about to be unpacked; never given twice."""

        def transaction(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM layers WHERE diff_id = ? AND ready = 0", (diff_id,))
            query = "INSERT INTO layers (diff_id, size, inodes, ready) VALUES (?, 0, 0, 0)"
            return connection.execute(query, (diff_id,)).lastrowid or 0

        return await self._database.write(transaction)

    async def ready(self, layer: Layer) -> None:
        """The tree of `layer` stands complete under its number; it has not been flushed."""

        def transaction(connection: sqlite3.Connection) -> None:
            query = "UPDATE layers SET size = ?, inodes = ?, record = ?, boot = ?, ready = 1 WHERE number = ?"
            connection.execute(query, (layer.size, layer.inodes, layer.record, self._boot, layer.number))

        def then(_: None) -> None:
            self._rows[layer.diff_id] = layer
            if self._boot:
                self._unflushed.add(layer.number)

        await self._database.write(transaction, then)

    def unflushed(self) -> frozenset[int]:
        """Layers whose trees have not been flushed to disk yet."""
        return frozenset(self._unflushed)

    async def flushed(self, numbers: Iterable[int]) -> None:
        """The trees of these layers are on disk."""
        done = frozenset(numbers)

        def transaction(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE layers SET boot = '' WHERE number = ?", [(number,) for number in done])

        await self._database.write(transaction, lambda _: self._unflushed.difference_update(done))

    async def forget(self, numbers: Iterable[int]) -> None:
        """Drop rows of layers that no image stands on; their directories are to be removed afterwards."""
        gone = frozenset(numbers)

        def transaction(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM layers WHERE number = ?", [(number,) for number in gone])

        def then(_: None) -> None:
            self._rows = {key: row for key, row in self._rows.items() if row.number not in gone}
            self._unflushed -= gone

        await self._database.write(transaction, then)

    async def forget_unfinished(self) -> None:
        """Drop rows that never became ready; for start-up."""
        await self._database.write(lambda connection: connection.execute("DELETE FROM layers WHERE ready = 0"))
