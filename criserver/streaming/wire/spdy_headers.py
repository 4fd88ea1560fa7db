"""SPDY/3 header blocks: name/value pairs, compressed by one zlib stream per direction for a connection's whole life.

    block:  count u32, then count × (name length u32, name, value length u32, value), big endian, then deflated
            values of one name are joined by NUL; names are lower case
            (SPDY/3 draft, 2.6.10 "Name/Value Header Block"; 2.6.10.1 "Compression")

Hostile blocks are bounded before anything is allocated: inflating stops at `max_size`, the count is compared with the
bytes that are there, and each length with what is left (CVE-2026-35469: lengths trusted before they were checked).
Since both sides share the zlib state, a block that fails leaves the connection unusable: every error is the
connection's. It must not know frames or streams.
"""

from __future__ import annotations

import struct
import zlib

from criserver.streaming.wire.machine import Buffer, Headers, LocalProtocolError, RemoteProtocolError

_U32 = struct.Struct(">I")

# The dictionary that the SPDY/3 draft prints: words, each preceded by its length as u32, then one run of text.
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow"
    " authorization cache-control connection content-base content-encoding content-language content-length"
    " content-location content-md5 content-range content-type date etag expect expires from host if-match"
    " if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma"
    " proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade"
    " user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie"
    " keep-alive origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(
    _U32.pack(len(word)) + word.replace("_", " ").encode("ascii") for word in _WORDS.split()
) + _TEXT.encode("ascii")
"""The zlib dictionary of SPDY/3, 1423 bytes, Adler-32 e3c6a7c2."""

_WINDOW_BITS = 11
"""A window of 2 KiB holds the dictionary and a few blocks; the default would cost 256 KiB per connection."""

_MEMORY_LEVEL = 4


class HeaderCompressor:
    """The sending direction's zlib stream; blocks must be written in the order they were made."""

    __slots__ = ("_deflate",)

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(
            zlib.Z_BEST_COMPRESSION, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, DICTIONARY
        )

    def compress(self, headers: Headers) -> bytes:
        """One compressed block, flushed so that the peer can read all of it."""
        return self._deflate.compress(encode_block(headers)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


class HeaderDecompressor:
    """The receiving direction's zlib stream; every block must pass through it, also those of refused streams."""

    __slots__ = ("_inflate", "_max_headers", "_max_size")

    def __init__(self, max_size: int, max_headers: int) -> None:
        """`max_size`: bytes that one block may inflate to; `max_headers`: names it may hold."""
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._max_size = max_size
        self._max_headers = max_headers

    def decompress(self, data: Buffer) -> Headers:
        """The fields of one block; RemoteProtocolError when it is damaged or over a limit."""
        try:
            block = self._inflate.decompress(data, self._max_size + 1)
        except zlib.error as exc:
            raise RemoteProtocolError(f"SPDY header block cannot be inflated: {exc}") from exc
        if len(block) > self._max_size:
            raise RemoteProtocolError(f"SPDY header block inflates to more than {self._max_size} bytes")
        if self._inflate.eof:
            raise RemoteProtocolError("SPDY header block ends the zlib stream that all later blocks need")
        return decode_block(block, self._max_headers)


def encode_block(headers: Headers) -> bytes:
    """The uncompressed block; LocalProtocolError for a name that is empty or not lower case, or text not in Latin-1."""
    fields: dict[str, str] = {}
    for name, value in headers:
        if not name or name != name.lower():
            raise LocalProtocolError(f"SPDY header name {name!r} must be lower case and not empty")
        fields[name] = f"{fields[name]}\0{value}" if name in fields else value
    try:
        strings = [text.encode("latin-1") for field in fields.items() for text in field]
    except UnicodeEncodeError as exc:
        raise LocalProtocolError(f"SPDY headers must be Latin-1: {exc}") from exc
    return _U32.pack(len(fields)) + b"".join(_U32.pack(len(raw)) + raw for raw in strings)


def decode_block(block: bytes, max_headers: int) -> Headers:
    """The fields of an uncompressed block; RemoteProtocolError when a length or name is wrong."""
    count, pos = _length(block, 0)
    if count > max_headers:
        raise RemoteProtocolError(f"SPDY header block claims {count} headers; at most {max_headers} are taken")
    fields: list[tuple[str, str]] = []
    seen: set[str] = set()
    for _ in range(count):
        name, pos = _text(block, pos)
        value, pos = _text(block, pos)
        if not name or name in seen or name != name.lower():
            raise RemoteProtocolError(f"SPDY header name {name[:64]!r} is empty, there twice or not lower case")
        seen.add(name)
        fields.extend((name, part) for part in value.split("\0"))
    if pos != len(block):
        raise RemoteProtocolError(f"SPDY header block has {len(block) - pos} bytes after its {count} headers")
    return tuple(fields)


def _length(block: bytes, pos: int) -> tuple[int, int]:
    if len(block) - pos < _U32.size:
        raise RemoteProtocolError("SPDY header block is cut short")
    return _U32.unpack_from(block, pos)[0], pos + _U32.size


def _text(block: bytes, pos: int) -> tuple[str, int]:
    size, pos = _length(block, pos)
    if size > len(block) - pos:
        raise RemoteProtocolError(f"SPDY header block claims a string of {size} bytes, {len(block) - pos} are left")
    return block[pos : pos + size].decode("latin-1"), pos + size
