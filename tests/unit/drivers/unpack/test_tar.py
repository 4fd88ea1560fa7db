"""The tar reader, beside Python's tarfile as an oracle, and against archives that no archiver writes."""

from __future__ import annotations

import io
import os
import struct
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from criserver.drivers.unpack import tar
from criserver.drivers.unpack.protocol import Refused
from criserver.drivers.unpack.source import Source
from tests.support import images
from tests.support.images import Node

ROOT = Path(__file__)


class Bytes(Source):
    """A source over bytes at hand."""

    def __init__(self, data: bytes) -> None:
        self.fd = os.memfd_create("tar")
        os.write(self.fd, data)
        os.lseek(self.fd, 0, os.SEEK_SET)
        super().__init__(self.fd, images.digest(data), images.digest(data), 1 << 40)


def read(data: bytes, limit: int = 100_000) -> list[tuple[tar.Entry, bytes]]:
    source = Bytes(data)
    try:
        return [(entry, source.take(entry.stored)) for entry in tar.entries(source, limit)]
    finally:
        os.close(source.fd)


names = st.lists(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=5,
).map("/".join)
nodes = st.builds(
    Node,
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]),
    data=st.binary(max_size=1500),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**31),
    gid=st.integers(0, 2**31),
    target=names,
    device=st.tuples(st.integers(0, 2**20), st.integers(0, 2**20)),
    mtime=st.integers(0, 2**33),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.tuples(names, nodes), max_size=6),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_entries_are_those_that_tarfile_wrote(entries: list[tuple[str, Node]], format: int) -> None:
    wanted = [
        (name, node if node.kind == tarfile.REGTYPE else Node(**(vars(node) | {"data": b""}))) for name, node in entries
    ]
    found = read(images.tar(wanted, format))
    assert len(found) == len(wanted)
    for (name, node), (entry, data) in zip(wanted, found, strict=True):
        assert entry.name == name.strip("/").encode()
        assert (entry.kind, entry.mode, entry.uid, entry.gid) == (node.kind, node.mode, node.uid, node.gid)
        assert entry.mtime == node.mtime * 1_000_000_000
        assert data == node.data
        if node.kind == tarfile.SYMTYPE:
            assert entry.target == node.target.encode()
        if node.kind == tarfile.CHRTYPE:
            assert entry.device == node.device


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 5000), st.integers(0, 255))
def test_any_bytes_end_in_entries_or_a_refusal(data: bytes, position: int, value: int) -> None:
    archive = bytearray(images.tar({"a": images.file("x" * 600), "b" * 150: images.symlink("c" * 150)}))
    archive[position % len(archive)] = value
    for candidate in (data, bytes(archive), bytes(archive[: position % len(archive)])):
        try:
            read(candidate)
        except Refused as refused:
            assert refused.code in ("DATA_LOSS", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


def test_xattrs_of_any_bytes() -> None:
    ((entry, _),) = read(images.tar({"a": images.file(xattrs={"user.a=b": b"x", "user.bytes": b"\0\n\xff"})}))
    assert entry.xattrs["user.bytes"] == b"\0\n\xff"


def test_times_are_exact() -> None:
    data = images.tar({"a": images.file(mtime=1.5), "b": images.file(mtime=-1.5)})
    assert [entry.mtime for entry, _ in read(data)] == [1_500_000_000, -1_500_000_000]


def header(name: bytes, size: int, kind: bytes, **fields: bytes) -> bytes:
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
    data = b"".join(records)
    return header(b"pax", len(data), b"x") + data.ljust(-(-len(data) // 512) * 512, b"\0")


def record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length += 1
    return str(length).encode() + body


END = bytes(1024)


def test_old_gnu_sparse_with_an_extension_block() -> None:
    table = b"".join(b"%011o\0%011o\0" % (offset, 1) for offset in range(0, 60, 10))
    first = header(b"s", 6, b"S", at257=b"ustar  \0", at386=table[:96], at482=b"\1", at483=b"%011o\0" % 100)
    extension = table[96:].ljust(504, b"\0") + bytes(8)
    ((entry, data),) = read(first + extension + b"abcdef".ljust(512, b"\0") + END)
    assert (entry.kind, entry.size, data) == (tar.REGULAR, 100, b"abcdef")
    assert entry.regions == [(offset, 1) for offset in range(0, 60, 10)]


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_pax_sparse(version: str) -> None:
    regions = [(0, 3), (100, 2)]
    content = b"abcde"
    if version == "1.0":
        text = b"2\n0\n3\n100\n2\n"
        content = text.ljust(512, b"\0") + content
        records = [record(b"GNU.sparse.major", b"1"), record(b"GNU.sparse.minor", b"0")]
        records += [record(b"GNU.sparse.realsize", b"200")]
    elif version == "0.1":
        records = [record(b"GNU.sparse.size", b"200"), record(b"GNU.sparse.map", b"0,3,100,2")]
    else:
        records = [record(b"GNU.sparse.size", b"200"), record(b"GNU.sparse.numblocks", b"2")]
        for offset, length in regions:
            records += [record(b"GNU.sparse.offset", b"%d" % offset), record(b"GNU.sparse.numbytes", b"%d" % length)]
    records += [record(b"GNU.sparse.name", b"the/name")]
    archive = pax(*records) + header(b"GNUSparseFile.1/x", len(content), b"0") + content.ljust(1024, b"\0")
    ((entry, data),) = read(archive[: len(archive) - 1024 + -(-len(content) // 512) * 512] + END)
    assert (entry.name, entry.size, entry.regions, data) == (b"the/name", 200, regions, b"abcde")


@pytest.mark.parametrize("numbers", ["0,3,100", "0,9,100,2", "-1,3,100,2", "0,3,199,2", "x,3,100,2"])
def test_sparse_maps_that_do_not_fit(numbers: str) -> None:
    archive = pax(record(b"GNU.sparse.size", b"200"), record(b"GNU.sparse.map", numbers.encode()))
    with pytest.raises(Refused):
        read(archive + header(b"s", 5, b"0") + b"abcde".ljust(512, b"\0") + END)


@pytest.mark.parametrize(
    "records",
    [b"x", b"5 a=", b"99999 a=b\n", b"0 a=b\n", b"6 abc\n", b"-6 a=b\n", record(b"size", b"-1"), record(b"uid", b"x")],
)
def test_pax_headers_that_cannot_be_read(records: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read(pax(records) + header(b"a", 0, b"0") + END)
    assert refused.value.code == "DATA_LOSS"


def test_a_global_header_holds_for_all_and_an_extended_one_for_the_next() -> None:
    data = record(b"uid", b"7")
    standing = header(b"g", len(data), b"g") + data.ljust(512, b"\0")
    own = pax(record(b"uid", b"8"), record(b"path", b"renamed"))
    found = read(standing + own + header(b"a", 0, b"0") + header(b"b", 0, b"0") + END)
    assert [(entry.name, entry.uid) for entry, _ in found] == [(b"renamed", 8), (b"b", 7)]


def test_base_256_numbers() -> None:
    big = struct.pack(">BxxxQ", 0x80, 1 << 40)
    with pytest.raises(Refused, match="truncated"):
        read(header(b"a", 0, b"0", at124=big) + END)
    ((entry, _),) = read(header(b"a", 0, b"0", at108=b"\x80" + (3_000_000_000).to_bytes(7, "big")) + END)
    assert entry.uid == 3_000_000_000
    with pytest.raises(Refused, match="negative"):
        read(header(b"a", 0, b"0", at124=b"\xff" * 12) + END)


def test_a_wrong_checksum() -> None:
    block = bytearray(header(b"a", 0, b"0"))
    block[0] = 0x62
    with pytest.raises(Refused, match="checksum"):
        read(bytes(block) + END)


def test_an_archive_without_its_end_is_truncated() -> None:
    with pytest.raises(Refused, match="truncated"):
        read(header(b"a", 0, b"0"))


def test_old_directories_and_hard_links_that_repeat_the_size() -> None:
    found = read(header(b"d/", 0, b"\0") + header(b"l", 5000, b"1", at157=b"./d/x") + END)
    assert [(entry.kind, entry.name, entry.target) for entry, _ in found] == [
        (tar.DIRECTORY, b"d", b""),
        (tar.HARDLINK, b"l", b"d/x"),
    ]


def test_ustar_prefix() -> None:
    ((entry, _),) = read(header(b"name", 0, b"0", at345=b"a/b") + END)
    assert entry.name == b"a/b/name"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        (b"a/", b"a"),
        (b"./", b""),
        (b"/", b""),
        (b"/a", b"a"),
        (b"a//b", b"a/b"),
        (b"a/./b/.", b"a/b"),
        (b"a..b", b"a..b"),
    ],
)
def test_clean(name: bytes, cleaned: bytes) -> None:
    assert tar.clean(name) == cleaned


@pytest.mark.parametrize("name", [b"..", b"../a", b"a/..", b"a/../b", b"/..", b"./.."])
def test_clean_refuses_two_dots(name: bytes) -> None:
    with pytest.raises(Refused, match=r"\.\."):
        tar.clean(name)


def test_entries_are_counted_extensions_included() -> None:
    archive = images.tar({f"{'n' * 120}{number}": images.file() for number in range(10)})
    assert len(read(archive, 20)) == 10
    with pytest.raises(Refused, match="19 entries"):
        read(archive, 19)


def test_gnu_tar_agrees(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(ROOT.parent, "tree")
    with tarfile.open(tmp_path / "t.tar") as archive:
        expected = [(member.name.encode(), member.size) for member in archive]
    found = read((tmp_path / "t.tar").read_bytes())
    assert [(entry.name, entry.size) for entry, _ in found] == expected
    assert io.BytesIO(found[-1][1]).read() == found[-1][1]
