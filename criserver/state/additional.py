"""Read-only stores of images beside a server's own: the root directories of other servers, which have stopped.

Such a store is made with a server of its own (`criserver serve --root DIR`, `criserver load`), then laid out on a disk
that many nodes share. Nothing in it is ever written, not even by opening the database: a store that was not closed in
order is refused, since reading it would need its log played back.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import quote

from criserver.errors import FailedPrecondition, Internal
from criserver.model.image import Image, ImageRecord, layer_number
from criserver.state.codec import decode
from criserver.state.migrations import IMAGE_SEALS, MIGRATIONS

_LAYERS = (
    "SELECT il.layer, l.size FROM image_layers il JOIN layers l ON l.number = il.layer"
    " WHERE il.image_id = ? AND l.ready = 1 ORDER BY il.position"
)


@dataclass(frozen=True, slots=True)
class AdditionalStore:
    """One store: images by id, references to ids, configuration documents and seals by id.

    `broken` are ids of images that cannot be used, since layers of theirs are not there.
    """

    path: str
    images: Mapping[str, Image]
    references: Mapping[str, str]
    configs: Mapping[str, bytes]
    seals: Mapping[str, frozenset[str]]
    broken: tuple[str, ...] = ()


def read_store(path: str, position: int) -> AdditionalStore:
    """The store in the directory `path`, the one at `position` of those configured. Blocks; for start-up.

    FailedPrecondition says why it cannot be used.
    """
    database = os.path.join(path, "criserver.db")
    if not os.path.exists(database):
        raise FailedPrecondition(f"{path} is no store: it has no criserver.db; give the root directory of a server")
    if os.path.exists(f"{database}-wal") and os.path.getsize(f"{database}-wal"):
        raise FailedPrecondition(f"{path} was not closed in order, or a server runs on it: start and stop one there")
    try:
        with closing(sqlite3.connect(f"file:{quote(database)}?mode=ro&immutable=1", uri=True)) as connection:
            return _read(connection, path, position)
    except sqlite3.Error as error:
        raise FailedPrecondition(f"{database} cannot be read: {error}") from error
    except Internal as error:
        raise FailedPrecondition(f"{database}: {error}") from error


def _read(connection: sqlite3.Connection, path: str, position: int) -> AdditionalStore:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 1 <= version <= len(MIGRATIONS):
        raise FailedPrecondition(f"{path} has a database of version {version}; {len(MIGRATIONS)} is what is known here")
    names: dict[str, list[str]] = {}
    query = "SELECT reference, image_id FROM image_references ORDER BY reference"
    for reference, image_id in connection.execute(query):
        names.setdefault(image_id, []).append(reference)
    images, configs, broken = {}, {}, []
    for image_id, record, config in connection.execute("SELECT id, record, config FROM images").fetchall():
        layers = connection.execute(_LAYERS, (image_id,)).fetchall()
        if not all(os.path.isdir(f"{path}/layers/{number}") for number, _ in layers):
            broken.append(image_id)
        else:
            numbers = tuple(layer_number(number, position) for number, _ in layers)
            kept = decode(ImageRecord, bytes(record))
            images[image_id] = _image(image_id, kept, names.get(image_id, []), numbers, sum(dict(layers).values()))
            configs[image_id] = bytes(config)
    references = {name: image_id for image_id in images for name in names.get(image_id, [])}
    return AdditionalStore(path, images, references, configs, _seals(connection, version), tuple(broken))


def _seals(connection: sqlite3.Connection, version: int) -> dict[str, frozenset[str]]:
    """Under which demands of a signature policy the images were pulled; whoever configures the store trusts it."""
    if version <= MIGRATIONS.index(IMAGE_SEALS):
        return {}
    found: dict[str, set[str]] = {}
    for image_id, demand in connection.execute("SELECT image_id, demand FROM image_seals"):
        found.setdefault(image_id, set()).add(demand)
    return {image_id: frozenset(demands) for image_id, demands in found.items()}


def _image(image_id: str, record: ImageRecord, names: list[str], layers: tuple[int, ...], size: int) -> Image:
    return Image(
        image_id,
        repo_tags=tuple(name for name in names if "@" not in name),
        repo_digests=tuple(name for name in names if "@" in name),
        size=size or 1,
        layers=layers,
        defaults=record.defaults,
        pinned=True,  # nothing would be freed by its removal, so the kubelet need not try
        pulled_at=record.pulled_at,
        annotations=record.annotations,
        artifact=record.artifact,
    )
