from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.streaming.wire.machine import LocalProtocolError, RemoteProtocolError
from criserver.streaming.wire.spdy_headers import (
    DICTIONARY,
    HeaderCompressor,
    HeaderDecompressor,
    decode_block,
    encode_block,
)

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).map(str.lower)
values = st.text(st.characters(min_codepoint=1, max_codepoint=255))


def decompressor() -> HeaderDecompressor:
    return HeaderDecompressor(max_size=4096, max_headers=16)


def block(*texts: bytes, count: int | None = None) -> bytes:
    head = struct.pack(">I", len(texts) // 2 if count is None else count)
    return head + b"".join(struct.pack(">I", len(text)) + text for text in texts)


def test_dictionary_is_the_drafts() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


@given(st.lists(st.dictionaries(names, values, max_size=5).map(lambda fields: tuple(fields.items())), max_size=5))
def test_blocks_come_back(blocks: list[tuple[tuple[str, str], ...]]) -> None:
    compress, decompress = HeaderCompressor(), HeaderDecompressor(1 << 20, 16)
    for headers in blocks:
        assert decompress.decompress(compress.compress(headers)) == headers


def test_second_block_needs_the_first() -> None:
    compress = HeaderCompressor()
    headers = (("streamtype", "stdin-of-a-name-that-repeats"),)
    first, second = compress.compress(headers), compress.compress(headers)
    assert len(second) < len(first)
    with pytest.raises(RemoteProtocolError, match="inflated"):
        decompressor().decompress(second)


def test_several_values_of_one_name() -> None:
    headers = (("a", "1"), ("a", "2"), ("b", ""))
    assert decode_block(encode_block(headers), 2) == headers


@pytest.mark.parametrize("headers", [(("", "x"),), (("Port", "80"),), (("a", "€"),)])
def test_own_mistakes(headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(LocalProtocolError):
        HeaderCompressor().compress(headers)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut short"),
        (b"\0\0", "cut short"),
        (block(count=1), "cut short"),
        (block(count=17), "claims 17 headers"),
        (block(count=0xFFFFFFFF), "claims 4294967295 headers"),
        (block(b"a"[:1], b"1") + b"x", "1 bytes after"),
        (block(b"a", b"1", b"a", b"2"), "there twice"),
        (block(b"", b"1"), "empty"),
        (block(b"Port", b"1"), "not lower case"),
        (block(count=1) + b"\xff\xff\xff\xffab", "string of 4294967295 bytes, 2 are left"),
        (block(b"a", count=1) + b"\0\0\1\0ab", "string of 256 bytes, 2 are left"),
    ],
)
def test_hostile_blocks(data: bytes, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        decode_block(data, 16)


def test_damaged_zlib() -> None:
    with pytest.raises(RemoteProtocolError, match="inflated"):
        decompressor().decompress(b"not zlib at all")


def test_end_of_the_zlib_stream() -> None:
    deflate = zlib.compressobj(zdict=DICTIONARY)
    data = deflate.compress(block()) + deflate.flush(zlib.Z_FINISH)
    with pytest.raises(RemoteProtocolError, match="ends the zlib stream"):
        decompressor().decompress(data)


def test_bomb_is_not_inflated() -> None:
    """CVE-2026-35469: 256 KiB that inflate to 256 MiB cost no more memory than the limit."""
    deflate = zlib.compressobj(zdict=DICTIONARY)
    bomb = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(256)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    decompress = decompressor()
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="more than 4096 bytes"):
            decompress.decompress(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(bomb)
    finally:
        tracemalloc.stop()
