"""Blobs as streams: every compression, cut anywhere, in bounded pieces, both digests checked."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from criserver.drivers.images.unpack.protocol import Refused
from criserver.drivers.images.unpack.source import CHUNK, Blob, Source
from tests.support.images import compress, digest

DATA = os.urandom(50_000) + bytes(3 << 20) + os.urandom(50_000)
Open = Callable[..., Source]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def open_source(blob: bytes, data: bytes = DATA, limit: int = 1 << 30, **digests: str) -> Source:
        path = tmp_path / "blob"
        path.write_bytes(blob)
        opened = Blob(os.open(path, os.O_RDONLY), digests.get("digest", digest(blob)), len(blob))
        return Source(opened, digests.get("diff_id", digest(data)), limit)

    return open_source


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_taken_in_any_way_it_is_the_same(opened: Open, how: str) -> None:
    source = opened(compress(DATA, how))
    taken = source.take(1) + source.take(60_000) + b"".join(map(bytes, source.pieces(2_000_000)))
    source.skip(10)
    rest = source.take(len(DATA) - len(taken) - 10)
    assert taken == DATA[: len(taken)]
    assert rest == DATA[len(taken) + 10 :]
    source.finish()


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_what_is_not_taken_counts_in_the_digests(opened: Open, how: str) -> None:
    opened(compress(DATA, how)).finish()


def test_several_members_and_frames(opened: Open) -> None:
    half = len(DATA) // 2
    opened(gzip.compress(DATA[:half]) + gzip.compress(b"") + gzip.compress(DATA[half:])).finish()
    opened(zstandard.compress(DATA[:half]) + zstandard.compress(DATA[half:])).finish()
    opened(gzip.compress(DATA) + bytes(512)).finish()


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.999])
def test_cut_anywhere_it_is_damage(opened: Open, how: str, part: float) -> None:
    blob = compress(DATA, how)
    cut = blob[: int(len(blob) * part)]
    source = opened(cut)
    with pytest.raises(Refused) as refused:
        source.take(len(DATA))
    assert refused.value.code == "DATA_LOSS"


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_corrupt(opened: Open, how: str) -> None:
    blob = bytearray(compress(DATA, how))
    blob[300:3000:5] = bytes(len(blob[300:3000:5]))
    with pytest.raises(Refused) as refused:
        opened(bytes(blob)).finish()
    assert refused.value.code == "DATA_LOSS"


def test_garbage_behind_a_member(opened: Open) -> None:
    with pytest.raises(Refused, match="corrupt"):
        opened(gzip.compress(DATA) + b"garbage" * 5).finish()


def test_both_digests_are_checked(opened: Open) -> None:
    other = digest(b"other")
    with pytest.raises(Refused, match="blob has digest"):
        opened(compress(DATA), digest=other).finish()
    with pytest.raises(Refused, match="uncompressed layer has digest"):
        opened(compress(DATA), diff_id=other).finish()


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_a_bomb_stops_at_the_limit(opened: Open, how: str) -> None:
    zeros = bytes(64 << 20)
    with pytest.raises(Refused, match="more than 1000000 bytes") as refused:
        opened(compress(zeros, how), zeros, limit=1_000_000).finish()
    assert refused.value.code == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_pieces_are_bounded_however_dense_the_blob(opened: Open, how: str) -> None:
    zeros = bytes(64 << 20)
    source = opened(compress(zeros, how), zeros)
    assert max(len(piece) for piece in source.pieces(len(zeros))) <= CHUNK


def test_a_pipe_that_drips_is_read_to_the_size_and_no_further() -> None:
    blob, counted = compress(DATA, "zstd"), list[int]()
    reader, writer = os.pipe()

    def drip() -> None:
        os.write(writer, blob[:2])
        for start in range(2, len(blob), 10_000):
            os.write(writer, blob[start : start + 10_000])

    thread = threading.Thread(target=drip)
    thread.start()
    source = Source(Blob(reader, digest(blob), len(blob), counted.append), digest(DATA), 1 << 30)
    source.skip(len(DATA))
    source.finish()  # the pipe is still open: nobody waits for its end
    thread.join()
    assert counted == sorted(counted)
    assert counted[-1] == len(blob)


def test_a_blob_that_its_sender_checks_is_only_read(opened: Open) -> None:
    opened(compress(DATA), digest="").finish()
    with pytest.raises(Refused, match="uncompressed layer has digest"):
        opened(compress(DATA), digest="", diff_id=digest(b"other")).finish()


def test_a_blob_that_ends_early_is_damage() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"plain")
    os.close(writer)
    with pytest.raises(Refused, match="after 5 of 9 bytes"):
        Source(Blob(reader, digest(b"plain"), 9), digest(b"plain"), 100).finish()
