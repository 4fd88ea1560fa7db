"""An entry of a tar archive, and the notation of its numbers. Values only (tar(5), POSIX.1-2017 pax)."""

from __future__ import annotations

from collections.abc import Mapping

from criserver.drivers.images.unpack.protocol import damaged, shown

BLOCK = 512
"""Bytes of a header; contents are padded to as much."""

REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


class Entry:
    """One entry. `name` and, for hard links, `target` are relative paths, empty for the layer's root itself.

    `stored` bytes follow in the archive, to be read before the next entry; `size` is the file's length, and `regions`
    (offset, length) say where the stored bytes go when the file is sparse. `mtime` is in nanoseconds.
    """

    __slots__ = (
        "device", "gid", "kind", "mode", "mtime", "name", "regions", "size", "stored", "target", "uid", "xattrs",
    )  # fmt: skip

    kind: bytes
    name: bytes
    target: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    stored: int
    device: tuple[int, int]
    xattrs: Mapping[str, bytes]
    regions: list[tuple[int, int]] | None


def number(field: bytes) -> int:
    """An octal field, or a base-256 one (GNU; first bit set)."""
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise damaged(f"archive has a header with the number {shown(field)}") from None
