"""Layers on disk: directory trees by number, made from blobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from criserver.model.image import Layer
from criserver.ports.registry import LayerBlob


class Layers(Protocol):
    """Make and drop layer trees; names derive from the layer's number."""

    root: str

    async def unpack(self, number: int, blob: LayerBlob, moved: Callable[[int], None]) -> Layer:
        """Fetch and unpack the blob, and put its tree under its number, or leave nothing; not flushed to disk yet.

        `moved` hears now and then how many bytes of the blob have come. Errors are the blob's own; DataLoss when
        digests do not match or a stream is damaged, InvalidArgument for an archive that no layer may be,
        ResourceExhausted when the disk or a bound is full, DeadlineExceeded when no byte comes for too long.
        """
        ...

    def expect(self) -> None:
        """A layer is about to be unpacked: prepare for it."""
        ...

    async def flush(self) -> None:
        """Write every tree that stands to disk. OSError when that fails."""
        ...

    async def remove(self, numbers: frozenset[int]) -> None:
        """Delete trees. Idempotent."""
        ...

    async def standing(self) -> frozenset[str]:
        """Names in the directory, but of trees that are being unpacked or removed now."""
        ...

    async def discard(self, names: frozenset[str]) -> None:
        """Delete what is there under names that are no layer's. Idempotent."""
        ...

    async def examine(self, layers: Sequence[Layer]) -> Mapping[int, str]:
        """Why a layer is not what was unpacked any more, by its number; those that are as they were are missing."""
        ...

    async def present(self) -> frozenset[int]:
        """Numbers of the trees that stand complete; for start-up, since it drops incomplete ones first."""
        ...
