"""Sparse files in tar archives: GNU's own format and the three of PAX (GNU tar manual, "Sparse Formats").

Each says which regions of the file the stored bytes are; what lies between them is a hole.
"""

from __future__ import annotations

from collections.abc import Mapping

from criserver.drivers.images.unpack.entry import BLOCK, Entry, number
from criserver.drivers.images.unpack.protocol import damaged, exhausted, shown
from criserver.drivers.images.unpack.source import Source

SPARSE_LIMIT = 1 << 16
"""Most data regions of one sparse file."""


def old_gnu(source: Source, header: bytes, entry: Entry) -> None:
    """GNU's own sparse format: regions in the header and in extension blocks behind it."""
    regions = _old_regions(header[386:482])
    more, entry.size = header[482], number(header[483:495])
    while more:
        block = source.take(BLOCK)
        regions += _old_regions(block[:504])
        more = block[504]
        _check_count(regions)
    _set_regions(entry, regions)


def _old_regions(table: bytes) -> list[tuple[int, int]]:
    rows = [table[at : at + 24] for at in range(0, len(table), 24)]
    return [(number(row[:12]), number(row[12:24])) for row in rows if row[0]]


def pax(source: Source, entry: Entry, headers: Mapping[bytes, bytes]) -> None:
    """PAX sparse formats 0.0 and 0.1 (a list in the header) and 1.0 (a list in front of the data)."""
    try:
        if headers.get(b"GNU.sparse.major") == b"1":
            entry.size = int(headers[b"GNU.sparse.realsize"])
            _set_regions(entry, _sparse_list(source, entry))
        elif b"GNU.sparse.map" in headers:
            entry.size = int(headers[b"GNU.sparse.size"])
            numbers = [int(text) for text in headers[b"GNU.sparse.map"].split(b",")[: 2 * SPARSE_LIMIT + 2]]
            _set_regions(entry, list(zip(numbers[::2], numbers[1::2], strict=True)))
    except (KeyError, ValueError):
        raise damaged(f"sparse entry {shown(entry.name)} cannot be read") from None


def _sparse_list(source: Source, entry: Entry) -> list[tuple[int, int]]:
    text = b""
    numbers: list[int] = []
    wanted = 1
    while len(numbers) < wanted:
        if b"\n" not in text:
            if entry.stored < BLOCK:
                raise ValueError
            text += source.take(BLOCK)
            entry.stored -= BLOCK
            continue
        line, _, text = text.partition(b"\n")
        numbers.append(int(line))
        wanted = 1 + 2 * min(numbers[0], SPARSE_LIMIT + 1)
    regions = list(zip(numbers[1::2], numbers[2::2], strict=True))
    _check_count(regions)
    return regions


def _check_count(regions: list[tuple[int, int]]) -> None:
    if len(regions) > SPARSE_LIMIT:
        raise exhausted(f"archive has a sparse file of more than {SPARSE_LIMIT} regions")


def _set_regions(entry: Entry, regions: list[tuple[int, int]]) -> None:
    _check_count(regions)
    if sum(length for _, length in regions) != entry.stored or any(
        offset < 0 or length < 0 or offset + length > entry.size for offset, length in regions
    ):
        raise damaged(f"sparse entry {shown(entry.name)} has regions that do not fit its size")
    entry.regions = regions
