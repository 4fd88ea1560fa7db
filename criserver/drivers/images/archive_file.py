"""Compressed archive files made plain: skopeo reads some of them, and Debian 12's none that docker save wrote.

Told apart by their first bytes. Bounded, since a small file may stand for more than any disk holds.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import zlib
from typing import IO, Any

import zstandard

from criserver.errors import InvalidArgument, ResourceExhausted

LIMIT = 64 << 30  # bytes
_CHUNK = 1 << 20
_OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": zstandard.open,
}
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def plain(path: str, directory: str, limit: int = LIMIT) -> str:
    """The path of the uncompressed archive: `path` itself, or a copy in `directory`. Blocks.

    OSError when the file cannot be read, InvalidArgument when it is damaged, ResourceExhausted when it is too large.
    """
    with open(path, "rb") as file:
        first = file.read(8)
    opener = next((opener for magic, opener in _OPENERS.items() if first.startswith(magic)), None)
    if opener is None:
        return path
    target = os.path.join(directory, "archive.tar")
    try:
        with opener(path, "rb") as source, open(target, "xb") as out:
            _copy(source, out, path, limit)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(f"no space left to uncompress archive {path} in {directory}") from error
        raise InvalidArgument(f"archive {path} cannot be uncompressed: {error}") from error
    except _BROKEN as error:
        raise InvalidArgument(f"archive {path} cannot be uncompressed: {error}") from error
    return target


def _copy(source: IO[bytes], out: IO[bytes], path: str, limit: int) -> None:
    left = limit
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise ResourceExhausted(f"archive {path} uncompresses to more than {limit} bytes")
        out.write(chunk)
