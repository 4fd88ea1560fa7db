"""Random archives that want out: nothing beside the layer changes, and what is accepted is what GNU tar makes of it.

Through the real helper in its jail. The neighbourhood that is watched lies where the archives' names and links lead to:
beside the layer, above it, and at the absolute path that they are told.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import stat
import subprocess
import tarfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from criserver.drivers.images.blob_file import open_file
from criserver.drivers.images.layers import LayerDirectory, LayerLimits
from criserver.drivers.images.unpacker import Unpacker
from criserver.errors import CriError, InvalidArgument
from criserver.ports.registry import LayerBlob
from tests.support.images import digest

NAMES = ("a", "b", "a/b", "b/a", "a/b/c", "./a", "b//c")
OUTWARD = ("..", "../victim", "a/../../victim", "/../victim", "{outside}/victim", "{outside}", "/", "../../victim")
TARGETS = (*NAMES, *OUTWARD, "../b", "../../a", ".", "nowhere", "/etc/passwd")

names = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(OUTWARD))
kinds = st.sampled_from(
    (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
)
modes = st.sampled_from((0o644, 0o4755, 0o2711, 0o1777, 0o700))
entries = st.lists(st.tuples(names, kinds, st.sampled_from(TARGETS), modes), min_size=1, max_size=8)
Entries = list[tuple[str, bytes, str, int]]


def archive(wanted: Entries, outside: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for number, (name, kind, target, mode) in enumerate(wanted):
            info = tarfile.TarInfo(name.format(outside=outside))
            info.type, info.mode, info.mtime = kind, mode, 1000 + number
            info.devmajor, info.devminor = (1, 3) if kind == tarfile.CHRTYPE else (0, 0)
            data = f"content {number}".encode() if kind == tarfile.REGTYPE else b""
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = target.format(outside=outside)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Path → kind, mode, content, target, and the first of the names that share its inode; no link is followed."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    for directory, directories, files in os.walk(root):
        for name in sorted([*directories, *files]):
            path = Path(directory, name)
            status, key = path.lstat(), str(path.relative_to(root))
            kind = stat.S_IFMT(status.st_mode)
            shared = first.setdefault(status.st_ino, key) if status.st_nlink > 1 and kind != stat.S_IFDIR else ""
            content = path.read_bytes() if kind == stat.S_IFREG else b""
            target = os.readlink(path) if kind == stat.S_IFLNK else ""
            mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
            found[key] = (kind, mode, content, target, shared)
    return found


def neighbourhood(outside: Path) -> dict[str, tuple[object, ...]]:
    known = tree(outside)
    times = {key: (outside / key).lstat().st_mtime_ns for key in known}
    return {key: (*value, times[key], (outside / key).lstat().st_nlink) for key, value in known.items()}


async def unpacked(base: Path, data: bytes) -> dict[str, tuple[object, ...]] | None:
    """The tree that the layer became, None when it was refused."""
    blob = base / "blob"
    blob.write_bytes(data)
    unpacker = Unpacker()
    layers = LayerDirectory(str(base / "outside"), unpacker, LayerLimits(entries=1000, size=1 << 20, seconds=60))
    try:
        wanted = LayerBlob(digest(data), digest(data), len(data), partial(open_file, str(blob)))
        await layers.unpack(1, wanted, lambda _: None)
        return tree(Path(layers.path(1)))
    except InvalidArgument:
        assert os.listdir(layers.root) == []
        return None
    finally:
        await unpacker.close()


def by_gnu_tar(base: Path, data: bytes) -> dict[str, tuple[object, ...]] | None:
    """The tree that GNU tar makes, which has its own ways not to be led out; None when it complains."""
    target = base / "gnu"
    target.mkdir()
    argv = ["tar", "-x", "-p", "-C", str(target), "-f", "-"]
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    return tree(target) if done.returncode == 0 else None


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(entries)
def test_nothing_gets_out_and_the_rest_is_as_gnu_tar_has_it(
    tmp_path_factory: pytest.TempPathFactory, wanted: Entries
) -> None:
    base = tmp_path_factory.mktemp("hostile")
    outside = base / "outside"
    (outside / "layers").mkdir(parents=True)
    (outside / "victim").write_text("kept")
    (outside / "layers" / "victim").mkdir()
    (outside / "layers" / "victim" / "inner").write_text("kept too")
    data = archive(wanted, outside)
    expected = by_gnu_tar(base, data)
    shutil.rmtree(outside / "layers" / "victim")  # the store takes what it does not know away at start-up only
    before = neighbourhood(outside)
    made = asyncio.run(unpacked(base, data))
    after = {key: value for key, value in neighbourhood(outside).items() if not key.startswith("layers/")}
    assert {key: value[:5] for key, value in after.items()} == {key: value[:5] for key, value in before.items()}
    assert after["victim"] == before["victim"]
    if made is not None and expected is not None and not led_out(wanted):
        assert made == expected
    shutil.rmtree(base)


def led_out(wanted: Entries) -> bool:
    """Whether a name or link leads upwards or out: tar strips such names, and puts such links off until the end."""
    named = [name for name, *_ in wanted]
    named += [target for _, kind, target, _ in wanted if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE)]
    return any(name in OUTWARD or ".." in name or name.startswith("/") for name in named)


@pytest.mark.parametrize(
    "wanted",
    [
        [("a", tarfile.SYMTYPE, "{outside}", 0o644), ("a/victim", tarfile.REGTYPE, "", 0o644)],
        [("a", tarfile.LNKTYPE, "{outside}/victim", 0o644), ("a", tarfile.REGTYPE, "", 0o644)],
        [("../victim", tarfile.REGTYPE, "", 0o644)],
        [("a", tarfile.SYMTYPE, "..", 0o644), ("a/victim", tarfile.LNKTYPE, "b", 0o644)],
    ],
)
async def test_the_plainest_ways_out_are_refused(tmp_path: Path, wanted: Entries) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("kept")
    assert await unpacked(tmp_path, archive(wanted, outside)) is None
    assert (outside / "victim").read_text() == "kept"
    assert (outside / "victim").stat().st_nlink == 1


@pytest.mark.parametrize("cut", [0, 1, 100, 511, 512, 513, 1023, 1500])
async def test_whatever_a_cut_archive_says_it_ends(tmp_path: Path, cut: int) -> None:
    data = archive([("a", tarfile.REGTYPE, "", 0o644), ("b", tarfile.DIRTYPE, "", 0o755)], tmp_path)[:cut]
    (tmp_path / "outside").mkdir()
    with pytest.raises(CriError):
        assert await asyncio.wait_for(unpacked(tmp_path, data), 30)
