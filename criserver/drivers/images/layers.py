"""Layer trees at <store>/layers/<number>, unpacked by the jailed helper and renamed into place when complete.

The helper writes to ".tmp-<number>". A tree under its number is complete, but it may be lost with the power until
`flush` has returned: whoever keeps a record of it must know that. Who needs which layer is not known here.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from criserver import errors
from criserver.drivers.images.arrival import follow
from criserver.drivers.images.unpacker import Answer, Job, Unpacker
from criserver.kernel.files import flush_filesystem
from criserver.kernel.inode_flags import spread_children
from criserver.kernel.offload import offload
from criserver.kernel.trees import remove_tree
from criserver.model.image import Layer, store_name
from criserver.ports.registry import BlobStream, LayerBlob

TEMPORARY = ".tmp-"


@dataclass(frozen=True, slots=True)
class LayerLimits:
    """Bounds of one layer: `entries` in its archive, `size` of the archive in bytes, `seconds` in all.

    `stalled` is how many seconds may pass without a byte.
    """

    entries: int = 2_000_000
    size: int = 64 << 30
    seconds: float = 3600
    stalled: float = 60


class LayerDirectory:
    """Layers of one server. Port `Layers`."""

    def __init__(
        self, store: str, unpacker: Unpacker, limits: LayerLimits | None = None, additional: Sequence[str] = ()
    ) -> None:
        """`store` is the directory of images; "layers" below it is made when it is not there.

        `additional` are stores that are only read: their layers are reached by links beside the own ones.
        """
        self.root = os.path.join(store, "layers")
        self._links = {store_name(n): os.path.join(each, "layers") for n, each in enumerate(additional)}
        self._unpacker = unpacker
        self._limits = limits or LayerLimits()
        self._busy: Counter[str] = Counter()
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        spread_children(self.root)
        self._link()

    def path(self, number: int) -> str:
        """Where the layer's tree is or would be."""
        return f"{self.root}/{number}"

    async def unpack(self, number: int, blob: LayerBlob, moved: Callable[[int], None]) -> Layer:
        """Fetch and unpack the blob, and put its tree under its number, or leave nothing."""
        with self._at_work([str(number), f"{TEMPORARY}{number}"]):
            return await self._unpack(number, blob, moved)

    async def _unpack(self, number: int, blob: LayerBlob, moved: Callable[[int], None]) -> Layer:
        target, limits = f"{self.root}/{TEMPORARY}{number}", self._limits
        try:
            await offload(_make_directory, target)
            async with asyncio.timeout(limits.seconds), blob.open() as stream:
                answer = await self._fill(target, blob, stream, moved)
            await offload(os.rename, target, self.path(number))
        except BaseException as error:
            await offload.surely(_remove_trees, [target, self.path(number)])
            if isinstance(error, TimeoutError):
                raise errors.DeadlineExceeded(f"layer {blob.digest} did not end within {limits.seconds:g} s") from None
            raise
        return Layer(number, blob.diff_id, answer.size, answer.inodes, answer.record)

    def expect(self) -> None:
        """A layer is about to be unpacked: prepare for it."""
        self._unpacker.warm()

    async def flush(self) -> None:
        """Write every tree that stands to disk."""
        await offload(flush_filesystem, self.root)

    async def remove(self, numbers: frozenset[int]) -> None:
        """Delete trees. Idempotent."""
        with self._at_work(list(map(str, numbers))):
            await offload.surely(_remove_trees, [self.path(number) for number in sorted(numbers)])

    async def present(self) -> frozenset[int]:
        """Numbers of the trees that stand complete; anything else in the directory is removed."""
        return await offload(self._present)

    async def standing(self) -> frozenset[str]:
        """Names in the directory, but of trees that are being unpacked or removed now."""
        there = frozenset(await offload(os.listdir, self.root))
        return there - self._links.keys() - self._busy.keys()

    async def discard(self, names: frozenset[str]) -> None:
        """Delete what is there under names that are no layer's. Idempotent."""
        await offload(_remove_trees, [f"{self.root}/{name}" for name in sorted(names)])

    async def examine(self, layers: Sequence[Layer]) -> Mapping[int, str]:
        """Why a layer is not what was unpacked any more, by its number; those that are as they were are missing.

        Whole trees are looked at, one by one, by a process of low priority.
        """
        damage = {}
        for layer in layers:
            if not await offload(os.path.isdir, self.path(layer.number)):
                damage[layer.number] = "its directory is gone"
            elif words := _difference(layer, await self._unpacker.look(self.path(layer.number))):
                damage[layer.number] = words
        return damage

    @contextmanager
    def _at_work(self, names: Sequence[str]) -> Iterator[None]:
        """Somebody makes or removes these, so that they are neither layers nor left over."""
        self._busy.update(names)
        try:
            yield
        finally:
            self._busy.subtract(names)
            self._busy = +self._busy

    def _link(self) -> None:
        for name, target in self._links.items():
            link = f"{self.root}/{name}"
            if not os.path.islink(link) or os.readlink(link) != target:
                remove_tree(link)
                os.symlink(target, link)

    async def _fill(
        self, target: str, blob: LayerBlob, stream: BlobStream, moved: Callable[[int], None]
    ) -> Answer:
        # One digest is ours to check: that of the tar where there is one, or else the blob's.
        digest = "" if stream.checked and not blob.file else blob.digest
        job = Job(target, digest, blob.diff_id, blob.size, self._limits.entries, self._limits.size, blob.file)
        try:
            async with self._unpacker.unpack(job, stream.fd) as unpacking:
                answer = await follow(stream, unpacking, moved, self._limits.stalled)
            await stream.finish()
        except (errors.DataLoss, errors.InvalidArgument, errors.ResourceExhausted, errors.DeadlineExceeded) as error:
            raise type(error)(f"layer {blob.digest}: {error}") from None
        moved(blob.size)
        return answer

    def _present(self) -> frozenset[int]:
        names = os.listdir(self.root)
        _remove_trees([f"{self.root}/{name}" for name in names if not name.isdecimal() and name not in self._links])
        return frozenset(int(name) for name in names if name.isdecimal())


def _difference(layer: Layer, seen: Answer) -> str:
    """In what a tree differs from what was unpacked; "" when it does not. `seen` is the helper's answer."""
    if seen.error:
        return f"it cannot be read: {seen.message}"
    if seen.inodes != layer.inodes:
        return f"it has {seen.inodes} files, {layer.inodes} were unpacked"
    if layer.record and seen.record != layer.record:
        return "names, kinds, owners, modes, sizes or times of its files have changed"
    return ""


def _make_directory(path: str) -> None:
    remove_tree(path)
    os.mkdir(path)
    os.chmod(path, 0o755)  # The root of an image that does not describe its own.


def _remove_trees(paths: Sequence[str]) -> None:
    for path in paths:
        remove_tree(path)
