"""Sparse files in each notation, and maps that do not fit their file."""

from __future__ import annotations

import pytest

from criserver.drivers.images.unpack import entry as kinds
from criserver.drivers.images.unpack.protocol import Refused
from criserver.drivers.images.unpack.sparse import SPARSE_LIMIT
from tests.support.tars import END, header, pax, read, record


def test_old_gnu_sparse_with_an_extension_block() -> None:
    table = b"".join(b"%011o\0%011o\0" % (offset, 1) for offset in range(0, 60, 10))
    first = header(b"s", 6, b"S", at257=b"ustar  \0", at386=table[:96], at482=b"\1", at483=b"%011o\0" % 100)
    extension = table[96:].ljust(504, b"\0") + bytes(8)
    ((entry, data),) = read(first + extension + b"abcdef".ljust(512, b"\0") + END)
    assert (entry.kind, entry.size, data) == (kinds.REGULAR, 100, b"abcdef")
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


def test_too_many_regions() -> None:
    numbers = b",".join(b"%d,0" % number for number in range(SPARSE_LIMIT + 1))
    archive = pax(record(b"GNU.sparse.size", b"9999999"), record(b"GNU.sparse.map", numbers))
    with pytest.raises(Refused, match="regions") as refused:
        read(archive + header(b"s", 0, b"0") + END)
    assert refused.value.code == "RESOURCE_EXHAUSTED"


def test_a_list_in_front_of_the_data_that_does_not_end() -> None:
    records = [record(b"GNU.sparse.major", b"1"), record(b"GNU.sparse.realsize", b"200")]
    with pytest.raises(Refused, match="cannot be read"):
        read(pax(*records) + header(b"s", 512, b"0") + b"9" * 512 + END)
