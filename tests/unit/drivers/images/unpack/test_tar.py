"""The tar reader, beside Python's tarfile as an oracle, and against archives that no archiver writes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from criserver.drivers.images.unpack import entry as kinds
from criserver.drivers.images.unpack import tar
from criserver.drivers.images.unpack.protocol import Refused
from tests.support import images
from tests.support.images import Node
from tests.support.tars import END, header, pax, read, record

ROOT = Path(__file__)


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
        (kinds.DIRECTORY, b"d", b""),
        (kinds.HARDLINK, b"l", b"d/x"),
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
