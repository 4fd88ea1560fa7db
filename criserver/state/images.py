"""Image rows: images, the layers that they stand on, the references that name them, and the leases that hold them.

Kept in memory as well: readers never wait. A layer row is made before its directory is (not ready), and says ready
once the tree stands under its number; image, layers and references appear in one commit. So what is on disk without a
row, or under a row that is not ready, is left over from something that did not end, and may go (`unfinished`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from criserver.errors import FailedPrecondition, NotFound
from criserver.model.image import Image, ImageRecord, Layer
from criserver.state.codec import decode, encode
from criserver.state.db import Database


@dataclass(slots=True)
class _Rows:
    """The tables in memory; changed by the writer thread only, after the commit."""

    images: dict[str, Image] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    leases: dict[str, frozenset[str]] = field(default_factory=dict)


class ImageRepository:
    """Images and layers of this node. Every change is one commit."""

    def __init__(self, database: Database) -> None:
        """Load every row; Internal when one does not decode."""
        self._database = database
        self._rows = _Rows()
        query = "SELECT number, diff_id, size, inodes FROM layers WHERE ready = 1"
        self._rows.layers = {str(row[1]): Layer(*row) for row in database.read(query)}  # type: ignore[arg-type]
        for image_id, holder in database.read("SELECT image_id, holder FROM image_leases"):
            self._add_lease(str(image_id), str(holder))
        for image_id, record in database.read("SELECT id, record FROM images"):
            stack = database.read("SELECT layer FROM image_layers WHERE image_id = ? ORDER BY position", (image_id,))
            numbers = tuple(int(str(number)) for (number,) in stack)
            self._put(str(image_id), decode(ImageRecord, bytes(record)), numbers)  # type: ignore[call-overload]
        for reference, image_id in database.read("SELECT reference, image_id FROM image_references"):
            self._rows.references[str(reference)] = str(image_id)
        self._name(self._rows.images)

    def __iter__(self) -> Iterator[Image]:
        return iter(tuple(self._rows.images.values()))

    def by_id(self, image_id: str) -> Image | None:
        """The image of this id ("sha256:<hex>")."""
        return self._rows.images.get(image_id)

    def by_reference(self, reference: str) -> Image | None:
        """The image that a normalised tag or digest reference names."""
        return self._rows.images.get(self._rows.references.get(reference, ""))

    def starting_with(self, prefix: str) -> list[Image]:
        """Images whose id starts with `prefix`."""
        return [image for image in self if image.id.startswith(prefix)]

    def layers(self) -> tuple[Layer, ...]:
        """Every layer that stands on disk."""
        return tuple(self._rows.layers.values())

    def layer(self, diff_id: str) -> Layer | None:
        """The layer with this diff id, when it stands on disk."""
        return self._rows.layers.get(diff_id)

    def holders(self, image_id: str) -> frozenset[str]:
        """Who holds a lease on the image."""
        return self._rows.leases.get(image_id, frozenset())

    def unreferenced(self) -> tuple[Layer, ...]:
        """Layers that no image stands on."""
        used = {number for image in self for number in image.layers}
        return tuple(layer for layer in self.layers() if layer.number not in used)

    async def config(self, image_id: str) -> bytes:
        """The image's configuration document as it came; empty when there is no such image."""
        query = "SELECT config FROM images WHERE id = ?"
        row = await self._database.write(lambda connection: connection.execute(query, (image_id,)).fetchone())
        return bytes(row[0]) if row else b""

    async def reserve_layer(self, diff_id: str) -> int:
        """A fresh number for a layer that is about to be unpacked; never given twice."""

        def transaction(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM layers WHERE diff_id = ? AND ready = 0", (diff_id,))
            query = "INSERT INTO layers (diff_id, size, inodes, ready) VALUES (?, 0, 0, 0)"
            return connection.execute(query, (diff_id,)).lastrowid or 0

        return await self._database.write(transaction)

    async def layer_ready(self, layer: Layer) -> None:
        """The tree of `layer` stands complete under its number."""

        def transaction(connection: sqlite3.Connection) -> None:
            query = "UPDATE layers SET size = ?, inodes = ?, ready = 1 WHERE number = ?"
            connection.execute(query, (layer.size, layer.inodes, layer.number))

        def then(_: None) -> None:
            self._rows.layers[layer.diff_id] = layer

        await self._database.write(transaction, then)

    async def forget_layers(self, numbers: Iterable[int]) -> None:
        """Drop layer rows that no image needs; their directories are to be removed afterwards."""
        gone = frozenset(numbers)

        def transaction(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM layers WHERE number = ?", [(number,) for number in gone])

        def then(_: None) -> None:
            self._rows.layers = {key: row for key, row in self._rows.layers.items() if row.number not in gone}

        await self._database.write(transaction, then)

    async def forget_unfinished(self) -> None:
        """Drop layer rows that never became ready; for start-up."""
        await self._database.write(lambda connection: connection.execute("DELETE FROM layers WHERE ready = 0"))

    async def add(
        self, image_id: str, record: ImageRecord, config: bytes, layers: Sequence[Layer], references: Iterable[str]
    ) -> Image:
        """Make an image visible, or give one that is there already further references; one commit.

        A reference that named another image names this one from now on.
        """
        numbers = tuple(layer.number for layer in layers)
        names = tuple(references)

        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO images (id, record, config) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (image_id, encode(record), config),
            )
            connection.execute("DELETE FROM image_layers WHERE image_id = ?", (image_id,))
            connection.executemany(
                "INSERT INTO image_layers (image_id, position, layer) VALUES (?, ?, ?)",
                [(image_id, position, number) for position, number in enumerate(numbers)],
            )
            _insert_references(connection, image_id, names)

        def then(_: None) -> None:
            self._put(image_id, record, numbers)
            self._refer(image_id, names)

        await self._database.write(transaction, then)
        return self._rows.images[image_id]

    async def name(self, image_id: str, references: Iterable[str]) -> Image | None:
        """Give an image further references; None when it has gone meanwhile."""
        names = tuple(references)

        def transaction(connection: sqlite3.Connection) -> bool:
            if connection.execute("SELECT 1 FROM images WHERE id = ?", (image_id,)).fetchone() is None:
                return False
            _insert_references(connection, image_id, names)
            return True

        there = await self._database.write(transaction, lambda there: self._refer(image_id, names) if there else None)
        return self._rows.images.get(image_id) if there else None

    async def remove(self, image_id: str, *, even_leased: bool = False) -> None:
        """Drop the image and its references in one commit; its layers stay until `forget_layers`. Idempotent.

        FailedPrecondition names a holder of a lease, unless `even_leased`.
        """

        def transaction(connection: sqlite3.Connection) -> None:
            holder = connection.execute("SELECT holder FROM image_leases WHERE image_id = ?", (image_id,)).fetchone()
            if holder and not even_leased:
                raise FailedPrecondition(f"image {image_id} is in use by {holder[0]}: remove that first")
            connection.execute("DELETE FROM images WHERE id = ?", (image_id,))

        def then(_: None) -> None:
            self._rows.images.pop(image_id, None)
            self._rows.leases.pop(image_id, None)
            kept = {name: owner for name, owner in self._rows.references.items() if owner != image_id}
            self._rows.references = kept

        await self._database.write(transaction, then)

    async def lease(self, image_id: str, holder: str) -> None:
        """Hold the image for `holder` ("container:<id>") until `release`; NotFound when it has gone. Idempotent."""

        def transaction(connection: sqlite3.Connection) -> None:
            if connection.execute("SELECT 1 FROM images WHERE id = ?", (image_id,)).fetchone() is None:
                raise NotFound(f"image {image_id} has been removed: pull it again")
            query = "INSERT OR IGNORE INTO image_leases (image_id, holder) VALUES (?, ?)"
            connection.execute(query, (image_id, holder))

        await self._database.write(transaction, lambda _: self._add_lease(image_id, holder))

    async def release(self, holder: str) -> None:
        """End every lease of `holder`. Idempotent."""
        await self._end_leases("holder = ?", (holder,), lambda name: name != holder)

    async def release_all_but(self, holders: Iterable[str]) -> None:
        """End leases of holders that are gone; for start-up."""
        kept = frozenset(holders)
        marks = ", ".join("?" * len(kept))
        await self._end_leases(f"holder NOT IN ({marks})", tuple(kept), kept.__contains__)

    async def _end_leases(self, where: str, parameters: tuple[str, ...], keep: Callable[[str], bool]) -> None:
        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute(f"DELETE FROM image_leases WHERE {where}", parameters)

        def then(_: None) -> None:
            left = {key: frozenset(filter(keep, names)) for key, names in self._rows.leases.items()}
            self._rows.leases = {key: names for key, names in left.items() if names}

        await self._database.write(transaction, then)

    def _add_lease(self, image_id: str, holder: str) -> None:
        self._rows.leases[image_id] = self.holders(image_id) | {holder}

    def _put(self, image_id: str, record: ImageRecord, numbers: tuple[int, ...]) -> None:
        sizes = {layer.number: layer.size for layer in self.layers()}
        self._rows.images[image_id] = Image(
            image_id,
            repo_tags=(),
            repo_digests=(),
            size=sum(sizes.get(number, 0) for number in set(numbers)) or 1,  # the kubelet would not collect 0 bytes
            layers=numbers,
            defaults=record.defaults,
            pulled_at=record.pulled_at,
            annotations=record.annotations,
        )

    def _refer(self, image_id: str, references: Sequence[str]) -> None:
        moved = {self._rows.references.get(reference, image_id) for reference in references}
        self._rows.references.update(dict.fromkeys(references, image_id))
        self._name({image_id, *moved})

    def _name(self, image_ids: Iterable[str]) -> None:
        """Write the references of these images into their rows."""
        names: dict[str, list[str]] = {image_id: [] for image_id in image_ids}
        for reference, image_id in self._rows.references.items():
            if image_id in names:
                names[image_id].append(reference)
        for image_id, references in names.items():
            self._rows.images[image_id] = _named(self._rows.images[image_id], sorted(references))


def _insert_references(connection: sqlite3.Connection, image_id: str, references: Iterable[str]) -> None:
    connection.executemany(
        "INSERT INTO image_references (reference, image_id) VALUES (?, ?)"
        " ON CONFLICT (reference) DO UPDATE SET image_id = excluded.image_id",
        [(reference, image_id) for reference in references],
    )


def _named(image: Image, references: Sequence[str]) -> Image:
    digests = tuple(name for name in references if "@" in name)
    return replace(image, repo_tags=tuple(name for name in references if "@" not in name), repo_digests=digests)
