"""Image rows: images, the references that name them, and the leases that hold them.

Kept in memory as well, but for leases and documents: readers never wait. An image, the layers that it stands on and
its references appear in one commit, and go in one. Images of additional stores are seen behind the own ones: they have
no rows here, need no leases and never go.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from criserver.errors import FailedPrecondition, Internal, NotFound
from criserver.model.image import Image, ImageRecord, Layer
from criserver.state.additional import AdditionalStore
from criserver.state.codec import decode, encode
from criserver.state.db import Database
from criserver.state.layers import LayerRepository


@dataclass(slots=True)
class _Rows:
    """The tables in memory; changed by the writer thread only, after the commit."""

    images: dict[str, Image] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)


class ImageRepository:
    """Images of this node, on the layers in `layers`. Every change is one commit."""

    def __init__(self, database: Database, additional: Sequence[AdditionalStore] = (), boot: str = "") -> None:
        """Load every row. Those that do not decode are in `damaged`, with the reason, for `remove` to take away.

        `boot` is as in LayerRepository.
        """
        self._database = database
        # The first store that has an image or a name counts.
        stores = tuple(reversed(additional))
        self._more = {key: image for store in stores for key, image in store.images.items()}
        self._more_names = {name: key for store in stores for name, key in store.references.items()}
        self._more_configs = {key: config for store in stores for key, config in store.configs.items()}
        self._rows = _Rows()
        self.layers = LayerRepository(database, boot)
        self.damaged: dict[str, str] = {}
        for image_id, record in database.read("SELECT id, record FROM images"):
            stack = database.read("SELECT layer FROM image_layers WHERE image_id = ? ORDER BY position", (image_id,))
            numbers = tuple(int(str(number)) for (number,) in stack)
            try:
                self._put(str(image_id), decode(ImageRecord, bytes(record)), numbers)  # type: ignore[call-overload]
            except Internal as error:
                self.damaged[str(image_id)] = str(error)
        for reference, image_id in database.read("SELECT reference, image_id FROM image_references"):
            if image_id in self._rows.images:
                self._rows.references[str(reference)] = str(image_id)
        self._name(self._rows.images)

    def __iter__(self) -> Iterator[Image]:
        own = self._rows.images
        return iter((*own.values(), *(image for key, image in self._more.items() if key not in own)))

    def is_own(self, image_id: str) -> bool:
        """Whether the image has a row here, and so may be removed."""
        return image_id in self._rows.images

    def by_id(self, image_id: str) -> Image | None:
        """The image of this id ("sha256:<hex>")."""
        return self._rows.images.get(image_id) or self._more.get(image_id)

    def by_reference(self, reference: str) -> Image | None:
        """The image that a normalised tag or digest reference names."""
        own = self._rows.images.get(self._rows.references.get(reference, ""))
        return own or self.by_id(self._more_names.get(reference, ""))

    def starting_with(self, prefix: str) -> list[Image]:
        """Images whose id starts with `prefix`."""
        return [image for image in self if image.id.startswith(prefix)]

    async def config(self, image_id: str) -> bytes:
        """The image's configuration document as it came; empty when there is no such image."""
        if not self.is_own(image_id):
            return self._more_configs.get(image_id, b"")
        query = "SELECT config FROM images WHERE id = ?"
        row = await self._database.write(lambda connection: connection.execute(query, (image_id,)).fetchone())
        return bytes(row[0]) if row else b""

    async def add(
        self, image_id: str, record: ImageRecord, config: bytes, layers: Sequence[Layer], references: Iterable[str]
    ) -> Image:
        """Make an image visible, on layers that are ready, under `references`; one commit.

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
        """Give an image further references; None when it is not here (any more).

        None too for an image of an additional store and a name that it does not have there: it has to be pulled.
        """
        names = tuple(references)

        def transaction(connection: sqlite3.Connection) -> bool:
            if connection.execute("SELECT 1 FROM images WHERE id = ?", (image_id,)).fetchone() is None:
                return False
            _insert_references(connection, image_id, names)
            return True

        there = await self._database.write(transaction, lambda there: self._refer(image_id, names) if there else None)
        if there:
            return self._rows.images.get(image_id)
        return self._more.get(image_id) if all(self._more_names.get(name) == image_id for name in names) else None

    async def remove(self, image_id: str, *, even_leased: bool = False) -> None:
        """Drop the image with its references and leases in one commit; its layers stay. Idempotent.

        FailedPrecondition names a holder of a lease, unless `even_leased`.
        """

        def transaction(connection: sqlite3.Connection) -> None:
            holder = connection.execute("SELECT holder FROM image_leases WHERE image_id = ?", (image_id,)).fetchone()
            if holder and not even_leased:
                raise FailedPrecondition(f"image {image_id} is in use by {holder[0]}: remove that first")
            connection.execute("DELETE FROM images WHERE id = ?", (image_id,))

        def then(_: None) -> None:
            self._rows.images.pop(image_id, None)
            kept = {name: owner for name, owner in self._rows.references.items() if owner != image_id}
            self._rows.references = kept

        await self._database.write(transaction, then)

    async def lease(self, image_id: str, holder: str) -> None:
        """Hold the image for `holder` ("container:<id>") until `release`; NotFound when it has gone. Idempotent."""
        if not self.is_own(image_id) and image_id in self._more:
            return

        def transaction(connection: sqlite3.Connection) -> None:
            if connection.execute("SELECT 1 FROM images WHERE id = ?", (image_id,)).fetchone() is None:
                raise NotFound(f"image {image_id} has been removed: pull it again")
            query = "INSERT OR IGNORE INTO image_leases (image_id, holder) VALUES (?, ?)"
            connection.execute(query, (image_id, holder))

        await self._database.write(transaction)

    async def holders(self) -> Mapping[str, str]:
        """Image id → somebody who holds it; images that nobody holds are missing."""
        query = "SELECT image_id, min(holder) FROM image_leases GROUP BY image_id"
        return dict(await self._database.write(lambda connection: connection.execute(query).fetchall()))

    async def release(self, holder: str) -> None:
        """End every lease of `holder`. Idempotent."""
        query = "DELETE FROM image_leases WHERE holder = ?"
        await self._database.write(lambda connection: connection.execute(query, (holder,)))

    async def release_all_but(self, holders: Iterable[str]) -> None:
        """End leases of holders that are gone; for start-up."""
        kept = tuple(holders)
        query = f"DELETE FROM image_leases WHERE holder NOT IN ({', '.join('?' * len(kept))})"
        await self._database.write(lambda connection: connection.execute(query, kept))

    def _put(self, image_id: str, record: ImageRecord, numbers: tuple[int, ...]) -> None:
        sizes = {layer.number: layer.size for layer in self.layers}
        self._rows.images[image_id] = Image(
            image_id,
            repo_tags=(),
            repo_digests=(),
            size=sum(sizes.get(number, 0) for number in set(numbers)) or 1,  # the kubelet would not collect 0 bytes
            layers=numbers,
            defaults=record.defaults,
            pulled_at=record.pulled_at,
            annotations=record.annotations,
            artifact=record.artifact,
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
