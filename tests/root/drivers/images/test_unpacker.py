"""The helper's life: started on demand, shared, ended when idle; its death is told, and its successor works."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from criserver.drivers.images.unpacker import Job, Unpacker
from criserver.errors import Internal, InvalidArgument
from tests.support.images import Node, compress, digest, file, tar


@pytest.fixture
async def unpacker() -> AsyncIterator[Unpacker]:
    made = Unpacker(idle=0.3)
    yield made
    await made.close()


def helpers() -> list[int]:
    """Unpack helpers that this process has started (their session leaders are themselves)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                command = (path.parent / "cmdline").read_bytes()
                found += [int(path.parent.name)] if b"unpack.helper" in command else []
        except OSError:
            continue
    return found


async def unpack(unpacker: Unpacker, target: Path, entries: dict[str, Node]) -> int:
    target.mkdir()
    data = tar(entries)
    blob = compress(data)
    fd = os.memfd_create("blob")
    os.write(fd, blob)
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        job = Job(str(target), digest(blob), digest(data), len(blob), 100, 1 << 20)
        async with unpacker.unpack(job, fd) as unpacking:
            answer = await unpacking.result()
            assert unpacking.position == len(blob)
            return answer.inodes
    finally:
        os.close(fd)


async def test_one_for_all_and_none_when_there_is_no_work(unpacker: Unpacker, tmp_path: Path) -> None:
    before = helpers()
    work = (unpack(unpacker, tmp_path / str(number), {"x": file("x")}) for number in range(80))
    assert await asyncio.gather(*work) == [2] * 80
    (helper,) = set(helpers()) - set(before)
    await unpack(unpacker, tmp_path / "again", {"x": file("x")})
    assert set(helpers()) - set(before) == {helper}
    await asyncio.sleep(0.5)
    assert set(helpers()) - set(before) == set()
    assert await unpack(unpacker, tmp_path / "later", {"x": file("x")}) == 2


async def test_what_the_helper_refuses(unpacker: Unpacker, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"\.\./x"):
        await unpack(unpacker, tmp_path / "bad", {"../x": file()})


async def test_a_helper_that_dies_is_told_and_followed_by_another(unpacker: Unpacker, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    (tmp_path / "slow").mkdir()
    job = Job(str(tmp_path / "slow"), digest(b""), digest(b""), 100, 100, 100)
    before = helpers()
    async with unpacker.unpack(job, reader) as unpacking:
        while not (started := set(helpers()) - set(before)):
            await asyncio.sleep(0.01)
        os.kill(started.pop(), signal.SIGKILL)
        with pytest.raises(Internal, match="unpack helper failed"):
            await unpacking.result()
    assert await unpack(unpacker, tmp_path / "good", {"x": file("x")}) == 2
    os.close(reader)
    os.close(writer)


async def test_left_early_nobody_works_in_the_directory_any_more(unpacker: Unpacker, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    (tmp_path / "slow").mkdir()
    job = Job(str(tmp_path / "slow"), digest(b""), digest(b""), 100, 100, 100)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), unpacker.unpack(job, reader) as unpacking:
            await unpacking.result()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"x")
    os.close(writer)
    os.rmdir(tmp_path / "slow")


async def test_one_that_was_expected_is_there_and_goes_when_nobody_comes(unpacker: Unpacker, tmp_path: Path) -> None:
    before = helpers()
    unpacker.warm()
    unpacker.warm()
    while not (started := set(helpers()) - set(before)):
        await asyncio.sleep(0.01)
    await unpack(unpacker, tmp_path / "x", {"x": file("x")})
    assert set(helpers()) - set(before) == started
    await asyncio.sleep(0.6)
    assert set(helpers()) - set(before) == set()
