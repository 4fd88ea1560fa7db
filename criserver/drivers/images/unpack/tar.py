"""Tar archives as a stream of entries: ustar, GNU (long names, sparse) and PAX (POSIX.1-2017 pax; tar(5)).

Bytes in, entries out; it touches no file system and follows nothing. Names are bytes, relative to the layer's root,
without "." and empty parts; a name with ".." is refused. Headers are bounded, so that none takes memory at will.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from criserver.drivers.images.unpack import sparse
from criserver.drivers.images.unpack.entry import (
    BLOCK,
    BLOCKDEV,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARDLINK,
    REGULAR,
    SYMLINK,
    Entry,
    number,
)
from criserver.drivers.images.unpack.protocol import damaged, exhausted, hostile, shown
from criserver.drivers.images.unpack.source import Source

HEADER_LIMIT = 1 << 20
"""Largest PAX or GNU extension header in bytes: the xattrs of one file may take 64 KiB each (xattr(7))."""
_REGULAR_ALIASES = {b"\0": REGULAR, b"7": REGULAR, b"S": REGULAR}
_KNOWN = frozenset((REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCKDEV, DIRECTORY, FIFO))
_ZEROS = bytes(BLOCK)
_XATTR = b"SCHILY.xattr."


def entries(source: Source, limit: int) -> Iterator[Entry]:
    """The entries of an archive, at most `limit`; the caller takes `entry.stored` bytes from `source` in between.

    Padding is skipped here. Refused tells what is wrong with the archive.
    """
    standing: dict[bytes, bytes] = {}
    extended: dict[bytes, bytes] = {}
    count = 0
    while (header := source.take(BLOCK)) != _ZEROS:
        _check(header)
        count += 1
        if count > limit:
            raise exhausted(f"layer has more than {limit} entries")
        kind, size = header[156:157], number(header[124:136])
        if kind in b"xgLKV" and kind:
            _extend(kind, _extension(source, size), standing, extended)
            continue
        entry = _entry(source, header, kind, size, {**standing, **extended} if standing or extended else {})
        extended = {}
        padding = -entry.stored % BLOCK
        yield entry
        if padding:
            source.skip(padding)


def _check(header: bytes) -> None:
    # The checksum is the sum of the header's bytes, its own field counted as spaces. The low half of Adler-32 is that
    # sum plus one modulo 65521, at a twentieth of the cost of summing in Python.
    total = (zlib.adler32(header[:148]) & 0xFFFF) + (zlib.adler32(header[156:]) & 0xFFFF) - 2 + 8 * 0x20
    if total % 65521 != number(header[148:156]) % 65521:
        raise damaged("archive has a header with a wrong checksum")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _extension(source: Source, size: int) -> bytes:
    if not 0 <= size <= HEADER_LIMIT:
        raise exhausted(f"archive has an extension header of {size} bytes, more than {HEADER_LIMIT}")
    data = source.take(size)
    source.skip(-size % BLOCK)
    return data


def _extend(kind: bytes, data: bytes, standing: dict[bytes, bytes], extended: dict[bytes, bytes]) -> None:
    if kind == b"x":
        extended.update(_records(data))
    elif kind == b"g":
        standing.update(_records(data))
    elif kind in b"LK":
        extended[b"path" if kind == b"L" else b"linkpath"] = _text(data)


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The "length key=value\\n" records of a PAX header. Regions of sparse format 0.0 repeat their keys: joined."""
    position = 0
    offsets: list[bytes] = []
    while position < len(data):
        length, space, _ = data[position : position + 20].partition(b" ")
        fits = length.isdigit() and len(length) + 2 < int(length) <= len(data) - position
        if not space or not fits:
            raise damaged("archive has a PAX header that cannot be read")
        record = data[position + len(length) + 1 : position + int(length)]
        key, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n"):
            raise damaged("archive has a PAX header that cannot be read")
        position += int(length)
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            offsets.append(value[:-1])
        else:
            yield key, value[:-1]
    if offsets:
        yield b"GNU.sparse.map", b",".join(offsets)


def _entry(source: Source, header: bytes, kind: bytes, size: int, pax: Mapping[bytes, bytes]) -> Entry:
    entry = Entry()
    name = _text(header[:100])
    # GNU archives keep other things in the field of ustar's prefix.
    if header[257:263] == b"ustar\0" and header[345]:
        name = _text(header[345:500]) + b"/" + name
    entry.kind = _REGULAR_ALIASES.get(kind, kind)
    entry.uid, entry.gid = number(header[108:116]), number(header[116:124])
    entry.mode = number(header[100:108]) & 0o7777
    entry.mtime = number(header[136:148]) * 1_000_000_000
    entry.device = (number(header[329:337]), number(header[337:345])) if kind in b"34" and kind else (0, 0)
    entry.target = _text(header[157:257])
    entry.size = entry.stored = size
    entry.xattrs = {}
    entry.regions = None
    if pax:
        name = _apply(entry, name, pax)
    if kind == b"\0" and name.endswith(b"/"):
        entry.kind = DIRECTORY
    if entry.kind not in _KNOWN:
        raise hostile(f"entry {shown(name)} is of type {shown(kind)}, which no layer may have")
    entry.name = clean(name)
    if entry.kind == HARDLINK:
        entry.target = clean(entry.target)
    if entry.kind != REGULAR:
        # Some archivers repeat the length of the file at its hard links, without the data.
        entry.stored = 0 if kind == HARDLINK else entry.stored
    if kind == b"S":
        sparse.old_gnu(source, header, entry)
    elif pax:
        sparse.pax(source, entry, pax)
    if entry.stored < 0 or entry.size < 0:
        raise damaged(f"entry {shown(name)} has a negative size")
    return entry


def _apply(entry: Entry, name: bytes, pax: Mapping[bytes, bytes]) -> bytes:
    try:
        entry.uid = int(pax.get(b"uid", entry.uid))
        entry.gid = int(pax.get(b"gid", entry.gid))
        if b"size" in pax:
            entry.size = entry.stored = int(pax[b"size"])
        if b"mtime" in pax:
            entry.mtime = _nanoseconds(pax[b"mtime"])
    except ValueError:
        raise damaged(f"entry {shown(name)} has a PAX header with a bad number") from None
    entry.target = pax.get(b"linkpath", entry.target)
    entry.xattrs = {
        key[len(_XATTR) :].decode("utf-8", "surrogateescape"): value
        for key, value in pax.items()
        if key.startswith(_XATTR)
    }
    return pax.get(b"GNU.sparse.name") or pax.get(b"path") or name


def _nanoseconds(text: bytes) -> int:
    """A decimal number of seconds, exactly: floats do not hold nanoseconds."""
    seconds, _, fraction = text.partition(b".")
    sign = -1 if seconds.startswith(b"-") else 1
    return int(seconds) * 1_000_000_000 + sign * int(fraction[:9].ljust(9, b"0") or b"0")


def clean(name: bytes) -> bytes:
    """`name` relative to the root, without empty and "." parts; refused with ".." (it would leave the layer)."""
    if b"." not in name and b"//" not in name and name[:1] != b"/":
        return name.rstrip(b"/")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise hostile(f"entry {shown(name)} has '..' in its name: a layer may not reach outside of itself")
    return b"/".join(parts)
