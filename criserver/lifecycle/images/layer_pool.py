"""Layers shared by images: each comes once, however many pulls want it, and is dropped with its last user.

A layer is used by image rows, and claimed by pulls that are about to make such a row. Claims live in memory only:
after a crash no pull runs, and what no row uses goes. A tree that has not been flushed to disk is as good as any until
the power goes; so pulls do not wait for the flush, and a start after a reboot drops what was not flushed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from criserver.errors import CriError, Internal
from criserver.lifecycle.images.again import Again
from criserver.lifecycle.tasks import all_together, to_the_end
from criserver.model.image import Layer
from criserver.ports.layers import Layers
from criserver.ports.registry import LayerBlob
from criserver.state.images import ImageRepository

log = logging.getLogger(__name__)

FLUSH_SECONDS = 10.0
LAYERS_AT_ONCE = 6
"""Layers that are fetched and unpacked at a time, over all pulls."""


class LayerPool:
    """The layers of this node."""

    def __init__(
        self,
        repository: ImageRepository,
        layers: Layers,
        received: Callable[[int], None] = lambda _count: None,
        again: Again | None = None,
    ) -> None:
        """Rows in `repository`, trees in `layers`; `received` hears how many bytes have come, as they come.

        `again` says how often a layer that broke off is fetched again.
        """
        self._again = again or Again(lambda: None)
        self._images = repository
        self._rows = repository.layers
        self._trees = layers
        self._received = received
        self._claims: Counter[str] = Counter()
        self._coming: dict[str, Coming] = {}
        self._turns = asyncio.Semaphore(LAYERS_AT_ONCE)
        # Between finding a layer unused and the commit that drops it, nobody may find it present.
        self._presence = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, blobs: Sequence[LayerBlob]) -> AsyncIterator[tuple[Layer, ...]]:
        """The layers of `blobs`, fetched where they are not here yet, claimed as long as the context lasts."""
        wanted = [blob.diff_id for blob in blobs]
        async with self._presence:
            self._claims.update(wanted)
        try:
            await all_together(*(self._bring(blob) for blob in {blob.diff_id: blob for blob in blobs}.values()))
            yield tuple(self._present(diff_id) for diff_id in wanted)
        finally:
            self._claims.subtract(wanted)
            await self.sweep()

    def expect(self) -> None:
        """A pull has begun that will probably need layers."""
        self._trees.expect()

    def position(self, blob: LayerBlob) -> int:
        """How many bytes of the blob have come: all when its layer is here, whoever fetched it."""
        if self._rows.find(blob.diff_id):
            return blob.size
        coming = self._coming.get(blob.diff_id)
        return min(coming.position, blob.size) if coming else 0

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

    async def flush(self, after: float = FLUSH_SECONDS) -> None:
        """Write trees that are not on disk for certain to it, and note that; a failure is logged.

        That happens `after` some seconds: the container that waits for its image has the disk first.
        """
        while self._rows.unflushed():
            await asyncio.sleep(after)
            numbers = self._rows.unflushed()
            try:
                await self._trees.flush()
            except OSError as error:
                log.error("layers cannot be flushed to disk: a power loss would cost them: %s", error)
                return
            await self._rows.flushed(numbers)

    async def recover(self) -> frozenset[int]:
        """Bring rows and trees to agree after a crash; returns numbers of layers whose trees are missing."""
        present = await self._trees.present()
        await self._rows.forget_unfinished()
        known = {layer.number for layer in self._rows}
        lost = present & self._rows.lost
        await self._drop(present - known | lost)
        return frozenset(known - present | lost)

    async def _bring(self, blob: LayerBlob) -> None:
        """Fetch a layer that is missing; one on its way is waited for, and taken over should it fail."""
        while self._rows.find(blob.diff_id) is None:
            if coming := self._coming.get(blob.diff_id):
                await asyncio.wait([coming.ended])
            else:
                await self._fetch(blob)

    async def _fetch(self, blob: LayerBlob) -> None:
        coming = self._coming[blob.diff_id] = Coming(self._received)
        try:
            await self._again(lambda: self._unpack(blob, coming), f"layer {blob.digest}")
        except OSError as error:
            raise Internal(f"cannot unpack layer {blob.digest} below {self._trees.root}: {error}") from error
        finally:
            del self._coming[blob.diff_id]
            coming.ended.set_result(None)

    async def _unpack(self, blob: LayerBlob, coming: Coming) -> None:
        async with self._turns:
            coming.begin()
            number = await self._rows.reserve(blob.diff_id)
            try:
                await self._rows.ready(await self._trees.unpack(number, blob, coming.moved))
            except BaseException:
                await to_the_end(self._give_up(number))
                raise

    async def _give_up(self, number: int) -> None:
        """Take back a layer that is not ready: the tree first, since a full disk may not even let go of a row."""
        await self._drop([number])
        try:
            await self._rows.forget([number])
        except CriError as error:
            log.warning("the row of a layer that did not come stays until the next start: %s", error)

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


class Coming:
    """A layer on its way: how many bytes have come, and when that is over, one way or the other."""

    def __init__(self, received: Callable[[int], None]) -> None:
        self.position = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = received

    def begin(self) -> None:
        """It comes from the front, again perhaps: what came before was in vain, but it came."""
        self.position = 0

    def moved(self, position: int) -> None:
        """So many bytes have come by now."""
        self._received(position - self.position)
        self.position = position
