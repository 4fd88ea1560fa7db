"""Fakes of the image half's ports: a registry and layer trees that are dictionaries.

The same behaviour of the real ones is tested in tests/root/drivers (test_registry.py, test_layers.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from criserver.errors import InvalidArgument, NotFound, PermissionDenied
from criserver.lifecycle.images.admissions import Admissions
from criserver.model.image import Credentials, ImageDefaults, Layer
from criserver.model.reference import Reference
from criserver.ports.admission import Demand
from criserver.ports.registry import BlobStream, FetchedImage, LayerBlob
from criserver.state.db import Database
from criserver.state.seals import Seals


def digest(letter: str) -> str:
    """A digest that a reader can tell from others."""
    return "sha256:" + letter * 64


def fetched(image: str, *layers: str) -> FetchedImage:
    """An image by its letter, on layers by theirs."""
    blobs = tuple(LayerBlob(digest(letter), digest(letter), 10, _no_blob) for letter in layers)
    return FetchedImage(digest(image), b"", b"{}", ImageDefaults(), blobs)


@asynccontextmanager
async def _no_blob() -> AsyncIterator[BlobStream]:
    """Fake trees read no blobs."""
    raise NotFound("blob")
    yield


@dataclass
class FakeRegistry:
    """References → (manifest digest, image). With `hold` unset, fetches wait for it."""

    images: dict[str, tuple[str, FetchedImage]] = field(default_factory=dict)
    fetches: int = 0
    cleared: bool = False
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    credentials: list[Credentials | None] = field(default_factory=list)
    new: list[bool] = field(default_factory=list)
    broken: Exception | None = None
    namespaces: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hold.set()

    @asynccontextmanager
    async def open(
        self, reference: Reference, credentials: Credentials | None, *, namespace: str = "", new: bool = False
    ) -> AsyncIterator[FakeRemote]:
        """Resolve."""
        self.credentials.append(credentials)
        self.new.append(new)
        self.namespaces.append(namespace)
        if self.broken:
            raise self.broken
        if str(reference) not in self.images:
            raise NotFound(f"{reference}: manifest unknown")
        yield FakeRemote(self, *self.images[str(reference)])

    async def clear(self) -> None:
        """Note it."""
        self.cleared = True


@dataclass
class FakeRemote:
    """A resolved reference; its image id is known when `image` is no index (has no letter "x" in its digest)."""

    registry: FakeRegistry
    digest: str
    image: FetchedImage

    @property
    def image_id(self) -> str:
        """As a manifest tells it, an index does not."""
        return "" if "x" in self.digest else self.image.id

    async def fetch(self) -> FetchedImage:
        """Count, wait, answer."""
        self.registry.fetches += 1
        await self.registry.hold.wait()
        return self.image


@dataclass
class FakeLayers:
    """Trees by number. `bad` diff ids fail to unpack; with `hold` unset, unpacking waits for it."""

    root: str = "/root/layers"
    trees: dict[int, str] = field(default_factory=dict)
    unpacked: list[str] = field(default_factory=list)
    bad: dict[str, Exception] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    flushes: int = 0
    disk: OSError | None = None
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    strays: frozenset[str] = frozenset()
    altered: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hold.set()

    async def unpack(self, number: int, blob: LayerBlob, moved: Callable[[int], None]) -> Layer:
        """Half of it before waiting."""
        moved(blob.size // 2)
        await self.hold.wait()
        if blob.diff_id in self.slow:
            await asyncio.Event().wait()
        self.unpacked.append(blob.diff_id)
        if blob.diff_id in self.bad:
            raise self.bad.pop(blob.diff_id)
        moved(blob.size)
        self.trees[number] = blob.diff_id
        return Layer(number, blob.diff_id, 100, 3)

    def expect(self) -> None:
        """Fakes are always prepared."""

    async def flush(self) -> None:
        """Count, or fail as a disk does."""
        if self.disk:
            raise self.disk
        self.flushes += 1

    async def remove(self, numbers: frozenset[int]) -> None:
        """Idempotent."""
        self.trees = {number: tree for number, tree in self.trees.items() if number not in numbers}

    async def standing(self) -> frozenset[str]:
        """Every tree, and what a test has strewn."""
        return frozenset(map(str, self.trees)) | self.strays

    async def discard(self, names: frozenset[str]) -> None:
        """Idempotent."""
        self.strays -= names

    async def examine(self, layers: Sequence[Layer]) -> Mapping[int, str]:
        """What a test says of them, and that some are gone."""
        gone = {layer.number: "its directory is gone" for layer in layers if layer.number not in self.trees}
        return gone | {layer.number: self.altered[layer.number] for layer in layers if layer.number in self.altered}

    async def present(self) -> frozenset[int]:
        """All."""
        return frozenset(self.trees)


class FakeAdmission:
    """Demands by name of the repository; None refuses. Others are free."""

    def __init__(self, **demands: str | None) -> None:
        self.demands: dict[str, str | None] = dict(demands)

    async def demand(self, reference: Reference) -> Demand:
        """Look it up. One that ends in "NAME" is of the very name."""
        demand = self.demands.get(str(reference), self.demands.get(reference.name, ""))
        if demand is None:
            raise PermissionDenied(f"{reference} is rejected")
        return Demand(demand.replace("NAME", str(reference)), demand)


def unsigned(database: Database) -> Admissions:
    """A policy that asks for nothing."""
    return Admissions(Seals(database), FakeAdmission())


class NoArchives:
    """No archive is ever opened."""

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator[tuple[()]]:
        """Refuse."""
        raise NotFound(path)
        yield ()


class FullNames:
    """Every name means itself, but "ambiguous" means two."""

    async def refresh(self) -> None:
        """Nothing changes."""

    def candidates(self, text: str) -> tuple[str, ...]:
        """One, or two."""
        return ("a.example/ambiguous", "b.example/ambiguous") if text == "ambiguous" else (text,)

    def one(self, text: str) -> str:
        """The one that it means."""
        found = self.candidates(text)
        if len(found) > 1:
            raise InvalidArgument(f"{text} is ambiguous")
        return found[0]
