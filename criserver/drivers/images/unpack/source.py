"""A layer blob as a stream of tar bytes: read, decompressed and hashed in one pass, with bounded memory.

The blob comes from a file or, while it is still being fetched, from a pipe.

Gzip (any number of members, RFC 1952), zstd (any number of frames, RFC 8878) and uncompressed blobs are told apart by
their first bytes, since media types lie. The digest of the tar is checked at the end, and that of the blob unless its
sender does so; a stream that ends early or does not decode is damage, never a wait.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import IO, cast

from isal import isal_zlib

from criserver.drivers.images.unpack.protocol import damaged, exhausted

CHUNK = 1 << 20
"""Bytes decompressed at a time: what bounds the memory of a compression bomb."""
READ = 1 << 18
WINDOW_LOG = 27
"""Largest zstd window (2^27 bytes), zstd's own limit for streams that did not ask for more."""

GZIP_MAGIC = b"\x1f\x8b"
_CORRUPT = cast("type[Exception]", isal_zlib.error)
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Blob:
    """The bytes of a blob as they come, counted and hashed."""

    def __init__(self, fd: int, digest: str, size: int, count: Callable[[int], None] | None = None) -> None:
        """Read the head of the blob in `fd`, which must have `digest` and `size` bytes; `count` hears how many came.

        An empty `digest` is not checked: to hash is half of the work with a blob, and its sender may do it already.
        This is also where what decoding needs is loaded, while there is still a file system to load it from.
        """
        self._fd = fd
        self._expected, self._size = digest, size
        self._hash = hashlib.new(digest.partition(":")[0]) if digest else None
        self._position = 0
        self._count = count or _nobody
        self._head = b""
        while len(self._head) < len(ZSTD_MAGIC) and (data := self._next()):
            self._head += data
        if self._head.startswith(ZSTD_MAGIC):
            import zstandard  # noqa: F401, PLC0415

    def read(self) -> bytes:
        """Some bytes, none at the end. Refused when that comes too early."""
        data, self._head = self._head, b""
        if not data and not (data := self._next()) and self._position < self._size:
            raise damaged(f"blob ends after {self._position} of {self._size} bytes: it is truncated")
        return data

    def finish(self) -> None:
        """Read the rest and check the digest."""
        while self.read():
            pass
        if self._hash:
            _check("blob", self._hash, self._expected)

    def _next(self) -> bytes:
        data = os.read(self._fd, min(READ, self._size - self._position))
        if self._hash:
            self._hash.update(data)
        self._position += len(data)
        self._count(self._position)
        return data


class Source:
    """The uncompressed bytes of a blob, taken from the front."""

    def __init__(self, blob: Blob, diff_id: str, limit: int) -> None:
        """Read `blob`, which must unpack to a tar of `diff_id` and at most `limit` bytes."""
        self._blob = blob
        self._expected = diff_id
        self._hash = hashlib.new(diff_id.partition(":")[0])
        self._left = self._limit = limit
        self._buffer = b""
        self._position = 0
        self._chunks = self._decompressed()

    def take(self, count: int) -> bytes:
        """The next `count` bytes; Refused when the stream ends before."""
        end = self._position + count
        if end > len(self._buffer):
            self._fill(count)
            end = count
        piece = self._buffer[self._position : end]
        self._position = end
        return piece

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes in pieces of whatever size is at hand."""
        while count:
            if self._position == len(self._buffer):
                self._fill(1)
            piece = memoryview(self._buffer)[self._position : self._position + count]
            self._position += len(piece)
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        for _ in self.pieces(count):
            pass

    def finish(self) -> None:
        """Read the rest, padding that tar leaves, and check both digests."""
        for _ in self._chunks:
            pass
        self._blob.finish()
        _check("uncompressed layer", self._hash, self._expected)

    def _fill(self, count: int) -> None:
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        while have < count:
            chunk = next(self._chunks, b"")
            if not chunk:
                raise damaged("layer ends in the middle of its archive: it is truncated")
            parts.append(chunk)
            have += len(chunk)
        self._buffer = parts[0] + parts[1] if len(parts) == 2 else b"".join(parts)
        self._position = 0

    def _decompressed(self) -> Iterator[bytes]:
        first = self._blob.read()
        for chunk in _decoder(first)(first, self._blob.read):
            self._hash.update(chunk)
            self._left -= len(chunk)
            if self._left < 0:
                raise exhausted(f"layer unpacks to more than {self._limit} bytes")
            yield chunk


def _check(what: str, hashed: hashlib._Hash, expected: str) -> None:
    actual = f"{expected.partition(':')[0]}:{hashed.hexdigest()}"
    if actual != expected:
        raise damaged(f"{what} has digest {actual}, expected {expected}")


def _nobody(_position: int) -> None:
    """Who does not count."""


Read = Callable[[], bytes]


def _decoder(first: bytes) -> Callable[[bytes, Read], Iterator[bytes]]:
    if first.startswith(GZIP_MAGIC):
        return _gzip
    return _zstd if first.startswith(ZSTD_MAGIC) else _plain


def _plain(data: bytes, read: Read) -> Iterator[bytes]:
    while data:
        yield data
        data = read()


def _gzip(data: bytes, read: Read) -> Iterator[bytes]:
    while data := data or read():
        member = isal_zlib.decompressobj(wbits=31)
        while not member.eof:
            if not data and not (data := read()):
                raise damaged("gzip stream ends early: the layer is truncated")
            try:
                chunk = member.decompress(data, CHUNK)
            except _CORRUPT as error:
                raise damaged(f"gzip stream is corrupt: {error}") from error
            data = member.unconsumed_tail
            if chunk:
                yield chunk
        # Zeros behind the last member are padding (gzip(1)); anything else must begin a new member.
        data = member.unused_data.lstrip(b"\0")


def _zstd(data: bytes, read: Read) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415 - the import budget: most layers are gzip; `Blob` has loaded it by now

    context = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG)
    file = cast("IO[bytes]", _File(data, read))
    with context.stream_reader(file, read_size=READ, read_across_frames=True) as stream:
        try:
            while chunk := stream.read(CHUNK):
                yield chunk
        except zstandard.ZstdError as error:
            raise damaged(f"zstd stream is corrupt: {error}") from error


class _File:
    """The reading half of a file, for a library that wants one."""

    def __init__(self, first: bytes, read: Read) -> None:
        self._first = first
        self._read = read

    def read(self, _size: int) -> bytes:
        """Some bytes, none at the end."""
        data, self._first = self._first, b""
        return data or self._read()
