"""Random archives become the tree that an oracle predicts; sparse files stay sparse; usage is what du counts."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from criserver.drivers.images.unpack import tree
from criserver.drivers.images.unpack.protocol import Refused
from criserver.drivers.images.unpack.source import Blob, Source
from criserver.drivers.images.unpack.usage import Usage
from tests.support import images
from tests.support.images import Node, file, tar


@contextmanager
def inside(path: Path) -> Iterator[None]:
    """As the helper's child, but for the jail: the tests here look at what is made, not at what is kept out."""
    before, umask = Path.cwd(), os.umask(0)
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)
        os.umask(umask)


def fill(path: Path, data: bytes) -> Usage:
    fd = os.memfd_create("tar")
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        path.mkdir()
        with inside(path):
            return tree.fill(Source(Blob(fd, images.digest(data), len(data)), images.digest(data), 1 << 40), 100_000)
    finally:
        os.close(fd)


parts = st.sampled_from(["a", "b", "c", "dd"])
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, b"whiteout", b"opaque"])
modes = st.sampled_from([0o644, 0o755, 0o4755, 0o2750, 0o1777])
changes = st.lists(st.tuples(paths, kinds, modes, st.binary(max_size=20)), max_size=10)


class Oracle:
    """What must be there: path → (kind, detail)."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[str, object]] = {}
        self.opaque: set[str] = set()

    def drop(self, path: str) -> None:
        for each in [key for key in self.there if key == path or key.startswith(path + "/")]:
            del self.there[each]
            self.opaque.discard(each)

    def take_for_granted(self, directories: list[str]) -> bool:
        return all(self.there.setdefault(each, ("dir", 0o755))[0] == "dir" for each in directories)

    def apply(self, path: str, kind: bytes, mode: int, data: bytes) -> None:
        old = self.there.get(path, ("", 0))[0]
        if kind == b"opaque" or (kind == b"whiteout" and old == "dir"):
            self.opaque.add(path)
        elif kind == b"whiteout":
            self.there.setdefault(path, ("whiteout", 0))
        elif kind == tarfile.DIRTYPE:
            if old != "dir":
                self.drop(path)
            self.there[path] = ("dir", mode)
            self.opaque |= {path} if old == "whiteout" else set()
        else:
            self.drop(path)
            self.there[path] = ("file", (mode, data)) if kind == tarfile.REGTYPE else ("fifo", mode)


def predict(entries: list[tuple[str, bytes, int, bytes]]) -> dict[str, tuple[str, object]] | None:
    """What the oracle says; None when the archive must be refused."""
    oracle = Oracle()
    for path, kind, mode, data in entries:
        parents = [path.rsplit("/", n)[0] for n in range(path.count("/"), 0, -1)]
        if not oracle.take_for_granted(parents + ([path] if kind == b"opaque" else [])):
            return None
        oracle.apply(path, kind, mode, data)
    return oracle.there | {f"{path} is opaque": ("", 0) for path in oracle.opaque}


def observe(root: Path) -> dict[str, tuple[str, object]]:
    found: dict[str, tuple[str, object]] = {}
    for path in root.rglob("*"):
        name, status = str(path.relative_to(root)), path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            found[name] = ("dir", mode)
            if tree.OVERLAY_OPAQUE in os.listxattr(path):
                found[f"{name} is opaque"] = ("", 0)
        elif stat.S_ISCHR(status.st_mode):
            found[name] = ("whiteout", status.st_rdev)
        elif stat.S_ISFIFO(status.st_mode):
            found[name] = ("fifo", mode)
        else:
            found[name] = ("file", (mode, path.read_bytes()))
    return found


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(changes)
def test_random_archives(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, int, bytes]]
) -> None:
    root = tmp_path_factory.mktemp("tree") / "root"
    archive: list[tuple[str, Node]] = []
    for path, kind, mode, data in entries:
        parent, _, base = path.rpartition("/")
        if kind == b"whiteout":
            archive.append((os.path.join(parent, f".wh.{base}"), file()))
        elif kind == b"opaque":
            archive.append((f"{path}/.wh..wh..opq", file()))
        else:
            archive.append((path, Node(kind, data=data if kind == tarfile.REGTYPE else b"", mode=mode)))
    expected = predict(entries)
    if expected is None:
        with pytest.raises(Refused):
            fill(root, tar(archive))
    else:
        fill(root, tar(archive))
        assert observe(root) == expected


def test_sparse_files_stay_sparse(tmp_path: Path) -> None:
    source = tmp_path / "sparse"
    with source.open("wb") as out:
        out.write(b"begin")
        out.seek(64 << 20)
        out.write(b"middle")
        out.truncate(128 << 20)
    for number, options in enumerate(
        (["--format=gnu"], ["--format=posix"], ["--format=posix", "--sparse-version=0.1"])
    ):
        subprocess.run(
            ["tar", "-C", tmp_path, *options, "--sparse", "-cf", tmp_path / "sparse.tar", "sparse"], check=True
        )
        size, inodes, _ = fill(tmp_path / str(number), (tmp_path / "sparse.tar").read_bytes())
        made = tmp_path / str(number) / "sparse"
        assert made.stat().st_size == 128 << 20
        assert size < 1 << 20
        assert inodes == 2
        with made.open("rb") as data:
            assert data.read(5) == b"begin"
            data.seek(64 << 20)
            assert data.read(8) == b"middle\0\0"


def test_deep_trees_need_no_recursion(tmp_path: Path) -> None:
    deep = "/".join("d" for _ in range(1500))
    _, inodes, _ = fill(tmp_path / "root", tar([(f"{deep}/file", file("x")), ("d", file("instead"))]))
    assert inodes == 2
    assert (tmp_path / "root" / "d").read_text() == "instead"
