"""Layers shared by images: each is unpacked once, however many pulls want it, and dropped with its last user.

A layer is used by image rows, and claimed by pulls that are about to make such a row. Claims live in memory only:
after a crash no pull runs, and what no row uses goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from criserver.errors import Internal
from criserver.model.image import Layer
from criserver.ports.layers import Layers
from criserver.ports.registry import LayerBlob
from criserver.state.images import ImageRepository

log = logging.getLogger(__name__)


class LayerPool:
    """The layers of this node."""

    def __init__(self, repository: ImageRepository, layers: Layers) -> None:
        """Rows in `repository`, trees in `layers`."""
        self._images = repository
        self._rows = repository.layers
        self._trees = layers
        self._claims: Counter[str] = Counter()
        self._unpacking: dict[str, asyncio.Future[None]] = {}
        # Between finding a layer unused and the commit that drops it, nobody may find it present.
        self._presence = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, blobs: Sequence[LayerBlob]) -> AsyncIterator[tuple[Layer, ...]]:
        """The layers of `blobs`, unpacked where they are not here yet, claimed as long as the context lasts."""
        wanted = [blob.diff_id for blob in blobs]
        async with self._presence:
            self._claims.update(wanted)
        try:
            await self._bring({blob.diff_id: blob for blob in blobs})
            yield tuple(self._present(diff_id) for diff_id in wanted)
        finally:
            self._claims.subtract(wanted)
            await self.sweep()

    async def sweep(self) -> None:
        """Drop layers that nobody uses, rows first: a tree without a row is what recovery removes as well."""
        async with self._presence:
            used = {number for image in self._images for number in image.layers}
            unused = [row.number for row in self._rows if row.number not in used and self._claims[row.diff_id] <= 0]
            self._claims = +self._claims
            if not unused:
                return
            await self._rows.forget(unused)
        await self._drop(unused)

    async def recover(self) -> frozenset[int]:
        """Bring rows and trees to agree after a crash; returns numbers of layers whose trees are missing."""
        present = await self._trees.present()
        await self._rows.forget_unfinished()
        known = {layer.number for layer in self._rows}
        await self._drop(present - known)
        return frozenset(known - present)

    async def _bring(self, blobs: dict[str, LayerBlob]) -> None:
        """Unpack what is missing; what another pull is unpacking is waited for, and taken over should that fail."""
        while missing := [diff_id for diff_id in blobs if self._rows.find(diff_id) is None]:
            mine = [blobs[diff_id] for diff_id in missing if diff_id not in self._unpacking]
            if mine:
                await self._unpack(mine)
            else:
                await asyncio.wait([self._unpacking[diff_id] for diff_id in missing])

    async def _unpack(self, blobs: Sequence[LayerBlob]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._unpacking.update(dict.fromkeys((blob.diff_id for blob in blobs), done))
        try:
            numbered = {await self._rows.reserve(blob.diff_id): blob for blob in blobs}
            try:
                for layer in await self._trees.unpack(numbered):
                    await self._rows.ready(layer)
            except BaseException:
                await self._abandon(numbered)
                raise
        except OSError as error:
            raise Internal(f"cannot unpack layers below {self._trees.root}: {error}") from error
        finally:
            for blob in blobs:
                del self._unpacking[blob.diff_id]
            done.set_result(None)

    async def _abandon(self, numbers: Iterable[int]) -> None:
        gone = frozenset(numbers)
        await self._rows.forget(gone)
        await self._drop(gone)

    async def _drop(self, numbers: Iterable[int]) -> None:
        try:
            await self._trees.remove(frozenset(numbers))
        except OSError as error:
            log.error("layer trees cannot be removed now, the next start tries again: %s", error)

    def _present(self, diff_id: str) -> Layer:
        layer = self._rows.find(diff_id)
        if layer is None:
            raise Internal(f"layer {diff_id} has vanished while it was claimed")
        return layer
