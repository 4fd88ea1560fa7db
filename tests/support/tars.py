"""Tar archives by the byte, and a reader of all entries, for tests of the unpack helper."""

from __future__ import annotations

import os
import tarfile

from criserver.drivers.images.unpack import tar
from criserver.drivers.images.unpack.entry import Entry
from criserver.drivers.images.unpack.source import Blob, Source
from tests.support import images

END = bytes(1024)
"""The two empty blocks that end an archive."""


class Bytes(Source):
    """A source over bytes at hand."""

    def __init__(self, data: bytes) -> None:
        self.fd = os.memfd_create("tar")
        os.write(self.fd, data)
        os.lseek(self.fd, 0, os.SEEK_SET)
        super().__init__(Blob(self.fd, images.digest(data), len(data)), images.digest(data), 1 << 40)


def read(data: bytes, limit: int = 100_000) -> list[tuple[Entry, bytes]]:
    """Every entry with its stored bytes."""
    source = Bytes(data)
    try:
        return [(entry, source.take(entry.stored)) for entry in tar.entries(source, limit)]
    finally:
        os.close(source.fd)


def header(name: bytes, size: int, kind: bytes, **fields: bytes) -> bytes:
    """A header block with a true checksum; `at257=b"ustar"` writes bytes at offset 257."""
    block = bytearray(tarfile.TarInfo(name.decode()).tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"%011o\0" % size
    block[156:157] = kind
    for field, value in fields.items():
        start = int(field.removeprefix("at"))
        block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(*records: bytes) -> bytes:
    """A PAX header for the next entry."""
    data = b"".join(records)
    return header(b"pax", len(data), b"x") + data.ljust(-(-len(data) // 512) * 512, b"\0")


def record(key: bytes, value: bytes) -> bytes:
    """One "length key=value" record of a PAX header."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length += 1
    return str(length).encode() + body
