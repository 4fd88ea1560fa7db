"""Hostile sizes at full scale: a great many entries, and gigabytes out of megabytes. The disk and memory bear them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from criserver.drivers.images.blob_file import open_file
from criserver.drivers.images.layers import LayerDirectory, LayerLimits
from criserver.drivers.images.unpacker import Unpacker
from criserver.errors import ResourceExhausted
from criserver.model.image import Layer
from criserver.ports.registry import LayerBlob
from tests.support.images import digest

pytestmark = pytest.mark.slow

MEMORY = 150 << 20
"""Bytes that all helpers may have together; a bomb that was kept would need a hundred times that."""
ZEROS, PIECE = 10 << 30, 64 << 20


@pytest.fixture
async def layers(tmp_path: Path) -> AsyncIterator[LayerDirectory]:
    unpacker = Unpacker()
    yield LayerDirectory(str(tmp_path), unpacker, LayerLimits())
    await unpacker.close()


def children(pid: int) -> Iterator[int]:
    """The process's descendants."""
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split()):
                yield child
                yield from children(child)


def resident() -> int:
    """Bytes of memory that our descendants have now."""
    pages = 0
    for pid in children(os.getpid()):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def peak(work: asyncio.Task[Layer]) -> int:
    """The most memory that was seen until the end of `work`."""
    most = 0
    while not work.done():
        most = max(most, await asyncio.to_thread(resident))
        await asyncio.wait([work], timeout=0.1)
    return most


def zeros(path: Path, size: int) -> str:
    """Write a gzip of a tar with a file of zeros, made of the same member over and over; the tar's digest."""
    info = tarfile.TarInfo("zeros")
    info.size = size
    head, piece, end = info.tobuf(tarfile.GNU_FORMAT), bytes(PIECE), bytes(1024)
    hashed = hashlib.sha256(head)
    with path.open("wb") as file:
        file.write(member(head))
        packed = member(piece)
        for _ in range(size // PIECE):
            file.write(packed)
            hashed.update(piece)
        file.write(member(end))
    hashed.update(end)
    return f"sha256:{hashed.hexdigest()}"


def member(data: bytes) -> bytes:
    """One gzip member."""
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(data) + packer.flush()


def blob(path: Path, diff_id: str) -> LayerBlob:
    return LayerBlob(digest(path.read_bytes()), diff_id, path.stat().st_size, partial(open_file, str(path)))


async def test_ten_gibibytes_of_zeros_in_ten_megabytes(layers: LayerDirectory, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    diff_id = await asyncio.to_thread(zeros, path, ZEROS)
    assert path.stat().st_size < 12 << 20
    work = asyncio.get_running_loop().create_task(layers.unpack(1, blob(path, diff_id), lambda _: None))
    assert 0 < await peak(work) < MEMORY
    layer, file = work.result(), Path(layers.path(1)) / "zeros"
    assert file.stat().st_size == ZEROS
    assert layer.size < 64 << 20, "what is nothing but zeros takes no room"
    with file.open("rb") as content:
        for offset in (0, ZEROS // 2 + 1, ZEROS - 100):
            content.seek(offset)
            assert content.read(100) == bytes(100)


async def test_more_than_a_layer_may_have_ends_at_the_bound(tmp_path: Path) -> None:
    unpacker, path = Unpacker(), tmp_path / "blob"
    layers = LayerDirectory(str(tmp_path), unpacker, LayerLimits(size=1 << 30))
    diff_id = await asyncio.to_thread(zeros, path, 2 << 30)
    with pytest.raises(ResourceExhausted, match="more than"):
        await layers.unpack(1, blob(path, diff_id), lambda _: None)
    assert os.listdir(layers.root) == []
    await unpacker.close()


async def test_a_hundred_thousand_entries(layers: LayerDirectory, tmp_path: Path) -> None:
    buffer, count = io.BytesIO(), 100_000
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for number in range(count):
            archive.addfile(tarfile.TarInfo(f"{number % 100}/{number}"))
    path = tmp_path / "blob"
    path.write_bytes(member(buffer.getvalue()))
    before = sorted(tmp_path.iterdir())
    wanted = blob(path, digest(buffer.getvalue()))
    work = asyncio.get_running_loop().create_task(layers.unpack(1, wanted, lambda _: None))
    assert 0 < await peak(work) < MEMORY
    assert work.result().inodes == count + 100 + 1
    assert sum(len(files) for _, _, files in os.walk(layers.path(1))) == count
    assert sorted(tmp_path.iterdir()) == before
    await layers.remove(frozenset({1}))
    assert os.listdir(layers.root) == []
