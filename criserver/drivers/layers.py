"""Layer trees at <store>/layers/<number>, unpacked by the jailed helper and renamed into place when complete.

A tree under its number is complete, whatever happened: the helper writes to ".tmp-<number>", and flushes everything to
disk (syncfs) before the rename. Who needs which layer is not known here.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from criserver import errors
from criserver.kernel.files import sync_directory
from criserver.kernel.offload import offload
from criserver.kernel.process import run
from criserver.kernel.trees import remove_tree
from criserver.model.image import Layer, store_name
from criserver.ports.registry import LayerBlob

TEMPORARY = ".tmp-"
_PARALLEL = 2
"""Layers of one pull that are unpacked at a time: decompression takes a processor each."""

_HELPER = "import sys; sys.path.insert(0, sys.argv[1]); from criserver.drivers.unpack.helper import main; main()"
_ERRORS = {
    error.code.value: error
    for error in (errors.DataLoss, errors.InvalidArgument, errors.ResourceExhausted, errors.Internal)
}


@dataclass(frozen=True, slots=True)
class LayerLimits:
    """Bounds of one layer: `entries` in its archive, `size` of the archive in bytes, `seconds` to unpack a pull's."""

    entries: int = 2_000_000
    size: int = 64 << 30
    seconds: float = 1800


class LayerDirectory:
    """Layers of one server. Port `Layers`."""

    def __init__(self, store: str, limits: LayerLimits | None = None, additional: Sequence[str] = ()) -> None:
        """`store` is the directory of images; "layers" below it is made when it is not there.

        `additional` are stores that are only read: their layers are reached by links beside the own ones.
        """
        self.root = os.path.join(store, "layers")
        self._links = {store_name(n): os.path.join(each, "layers") for n, each in enumerate(additional)}
        self._limits = limits or LayerLimits()
        self._busy: Counter[str] = Counter()
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        self._link()

    def path(self, number: int) -> str:
        """Where the layer's tree is or would be."""
        return f"{self.root}/{number}"

    async def unpack(self, blobs: Mapping[int, LayerBlob]) -> tuple[Layer, ...]:
        """Unpack each blob and put its tree under its number; all of them or, after an error, none."""
        if not blobs:
            return ()
        targets = {number: f"{self.root}/{TEMPORARY}{number}" for number in blobs}
        with self._at_work([*map(str, blobs), *map(os.path.basename, targets.values())]):
            return await self._unpack(blobs, targets)

    async def _unpack(self, blobs: Mapping[int, LayerBlob], targets: Mapping[int, str]) -> tuple[Layer, ...]:
        try:
            await offload(_make_directories, tuple(targets.values()))
            answers = await self._help(
                [
                    {"blob": blob.path, "target": targets[number], "digest": blob.digest, "diff_id": blob.diff_id}
                    for number, blob in blobs.items()
                ]
            )
            for answer in answers:
                if "error" in answer:
                    raise _ERRORS.get(answer["error"], errors.Internal)(answer["message"])
            await offload(self._place, targets)
        except BaseException:
            await offload(_remove_trees, [*targets.values(), *map(self.path, targets)])
            raise
        return tuple(
            Layer(number, blob.diff_id, answer["size"], answer["inodes"], answer["record"])
            for (number, blob), answer in zip(blobs.items(), answers, strict=True)
        )

    async def remove(self, numbers: frozenset[int]) -> None:
        """Delete trees. Idempotent."""
        with self._at_work(list(map(str, numbers))):
            await offload(_remove_trees, [self.path(number) for number in sorted(numbers)])

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

        Whole trees are looked at, by a process of low priority.
        """
        there = [layer for layer in layers if await offload(os.path.isdir, self.path(layer.number))]
        damage = {layer.number: "its directory is gone" for layer in layers if layer not in there}
        answers = await self._help([{"target": self.path(layer.number)} for layer in there], 1) if there else []
        for layer, answer in zip(there, answers, strict=True):
            if words := _difference(layer, answer):
                damage[layer.number] = words
        return damage

    async def _help(self, layers: Sequence[Mapping[str, str]], parallel: int = _PARALLEL) -> list[dict[str, Any]]:
        """What the helper answers; see unpack.protocol."""
        request = {
            "layers": layers,
            "parallel": parallel,
            "entries": self._limits.entries,
            "bytes": self._limits.size,
        }
        package_root = str(Path(__file__).parents[2])
        argv = (sys.executable, "-I", "-c", _HELPER, package_root)
        done = await run(argv, stdin=json.dumps(request).encode(), timeout=self._limits.seconds)
        if done.returncode != 0:
            raise errors.Internal(f"the unpack helper failed: {done.failure}")
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

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

    def _place(self, targets: Mapping[int, str]) -> None:
        for number, target in targets.items():
            os.rename(target, self.path(number))
        sync_directory(self.root)  # a name that the power takes away must not have had its row before

    def _present(self) -> frozenset[int]:
        names = os.listdir(self.root)
        _remove_trees([f"{self.root}/{name}" for name in names if not name.isdecimal() and name not in self._links])
        return frozenset(int(name) for name in names if name.isdecimal())


def _difference(layer: Layer, seen: Mapping[str, Any]) -> str:
    """In what a tree differs from what was unpacked; "" when it does not. `seen` is the helper's answer."""
    if "error" in seen:
        return f"it cannot be read: {seen['message']}"
    if seen["inodes"] != layer.inodes:
        return f"it has {seen['inodes']} files, {layer.inodes} were unpacked"
    if layer.record and seen["record"] != layer.record:
        return "names, kinds, owners, modes, sizes or times of its files have changed"
    return ""


def _make_directories(paths: Sequence[str]) -> None:
    for path in paths:
        remove_tree(path)
        os.mkdir(path)
        os.chmod(path, 0o755)  # The root of an image that does not describe its own.


def _remove_trees(paths: Sequence[str]) -> None:
    for path in paths:
        remove_tree(path)
