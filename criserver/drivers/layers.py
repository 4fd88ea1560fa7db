"""Layer trees at <root>/layers/<number>, unpacked by the jailed helper and renamed into place when complete.

A tree under its number is complete, whatever happened: the helper writes to ".tmp-<number>", and flushes everything to
disk (syncfs) before the rename. Who needs which layer is not known here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from criserver import errors
from criserver.kernel.offload import offload
from criserver.kernel.process import run
from criserver.kernel.trees import remove_tree
from criserver.model.image import Layer
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

    def __init__(self, root: str, limits: LayerLimits | None = None) -> None:
        """`root` is the server's directory; "layers" below it is made when it is not there."""
        self.root = os.path.join(root, "layers")
        self._limits = limits or LayerLimits()
        os.makedirs(self.root, mode=0o700, exist_ok=True)

    def path(self, number: int) -> str:
        """Where the layer's tree is or would be."""
        return f"{self.root}/{number}"

    async def unpack(self, blobs: Mapping[int, LayerBlob]) -> tuple[Layer, ...]:
        """Unpack each blob and put its tree under its number; all of them or, after an error, none."""
        if not blobs:
            return ()
        targets = {number: f"{self.root}/{TEMPORARY}{number}" for number in blobs}
        try:
            await offload(_make_directories, tuple(targets.values()))
            answers = await self._help(blobs, targets)
            await offload(self._place, targets)
        except BaseException:
            await offload(_remove_trees, [*targets.values(), *map(self.path, targets)])
            raise
        return tuple(
            Layer(number, blob.diff_id, answer["size"], answer["inodes"])
            for (number, blob), answer in zip(blobs.items(), answers, strict=True)
        )

    async def remove(self, numbers: frozenset[int]) -> None:
        """Delete trees. Idempotent."""
        await offload(_remove_trees, [self.path(number) for number in sorted(numbers)])

    async def present(self) -> frozenset[int]:
        """Numbers of the trees that stand complete; anything else in the directory is removed."""
        return await offload(self._present)

    async def _help(self, blobs: Mapping[int, LayerBlob], targets: Mapping[int, str]) -> list[dict[str, Any]]:
        request = {
            "layers": [
                {"blob": blob.path, "target": targets[number], "digest": blob.digest, "diff_id": blob.diff_id}
                for number, blob in blobs.items()
            ],
            "parallel": _PARALLEL,
            "entries": self._limits.entries,
            "bytes": self._limits.size,
        }
        package_root = str(Path(__file__).parents[2])
        argv = (sys.executable, "-I", "-c", _HELPER, package_root)
        done = await run(argv, stdin=json.dumps(request).encode(), timeout=self._limits.seconds)
        if done.returncode != 0:
            raise errors.Internal(f"the unpack helper failed: {done.failure}")
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        for answer in answers:
            if "error" in answer:
                raise _ERRORS.get(answer["error"], errors.Internal)(answer["message"])
        return answers

    def _place(self, targets: Mapping[int, str]) -> None:
        for number, target in targets.items():
            os.rename(target, self.path(number))

    def _present(self) -> frozenset[int]:
        names = os.listdir(self.root)
        _remove_trees([f"{self.root}/{name}" for name in names if not name.isdecimal()])
        return frozenset(int(name) for name in names if name.isdecimal())


def _make_directories(paths: Sequence[str]) -> None:
    for path in paths:
        remove_tree(path)
        os.mkdir(path)
        os.chmod(path, 0o755)  # The root of an image that does not describe its own.


def _remove_trees(paths: Sequence[str]) -> None:
    for path in paths:
        remove_tree(path)
