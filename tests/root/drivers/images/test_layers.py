"""Layers become trees through the real helper; none gets out of its directory, hides anything, or takes everything."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from criserver.drivers.images.blob_file import open_file
from criserver.drivers.images.layers import LayerDirectory, LayerLimits
from criserver.drivers.images.unpacker import Unpacker
from criserver.errors import CriError, DataLoss, InvalidArgument, ResourceExhausted
from criserver.model.image import Layer
from criserver.ports.registry import LayerBlob
from tests.support.images import (
    Node,
    compress,
    device,
    digest,
    directory,
    file,
    hardlink,
    symlink,
    tar,
)

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep (capabilities(7))


@pytest.fixture
async def unpacker() -> AsyncIterator[Unpacker]:
    made = Unpacker()
    yield made
    await made.close()


@pytest.fixture
def layers(tmp_path: Path, unpacker: Unpacker) -> LayerDirectory:
    return LayerDirectory(str(tmp_path), unpacker, LayerLimits(entries=5000, size=64 << 20, seconds=60))


def blob_file(path: Path, diff_id: str) -> LayerBlob:
    """A blob that lies at `path`."""
    return LayerBlob(digest(path.read_bytes()), diff_id, path.stat().st_size, partial(open_file, str(path)))


async def unpack(layers: LayerDirectory, data: bytes, how: str = "gzip") -> tuple[Layer, Path]:
    path = Path(layers.root).parent / "blob"
    path.write_bytes(compress(data, how))
    layer = await layers.unpack(1, blob_file(path, digest(data)), lambda _: None)
    return layer, Path(layers.path(1))


def raw(*members: tuple[str, bytes, str]) -> bytes:
    """A tar of (name, type, link name) as they are, without any of tarfile's niceties."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/../out", "..", "./../out", ".wh.../out"])
async def test_two_dots_in_a_name_are_refused(layers: LayerDirectory, name: str) -> None:
    if name == ".wh.../out":
        name = "a/.wh..."
    with pytest.raises(InvalidArgument, match=r"\.\.|names no file"):
        await unpack(layers, tar({name: file("x")}))
    assert os.listdir(layers.root) == []
    assert not (Path(layers.root) / "out").exists()


@pytest.mark.parametrize("name", ["/etc/abs", "//etc/abs", "./etc/abs", "etc//abs", "etc/./abs", "./etc/./abs"])
async def test_names_are_relative_to_the_layer(layers: LayerDirectory, name: str) -> None:
    _, tree = await unpack(layers, tar({name: file("x")}))
    assert (tree / "etc/abs").read_text() == "x"
    assert "abs" not in os.listdir("/etc")


@pytest.mark.parametrize("target", ["{outside}", "../../../../../../../..{outside}", "sub/../../outside", "..", "/"])
async def test_writing_through_a_link_that_leads_out_is_refused(
    layers: LayerDirectory, tmp_path: Path, target: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    link = symlink(target.format(outside=outside))
    for entries in (
        {"a": link, "a/kept": file("evil")},
        {"a": link, "b": symlink("a"), "b/deeper/new": file("evil")},
        {"a": link, "a/.wh.kept": file()},
        {"a": link, "c": hardlink("a/kept")},
    ):
        with pytest.raises(InvalidArgument, match="leads outside"):
            await unpack(layers, tar(entries))
        assert os.listdir(layers.root) == []
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("kept", "kept")]


async def test_writing_through_a_link_within_the_layer_is_followed(layers: LayerDirectory) -> None:
    links = {
        "usr/lib/": directory(),
        "lib": symlink("usr/lib"),
        "usr/lib64": symlink("../lib"),
        "not-there": symlink("x/y"),
    }
    files = {"lib/a": file("a"), "usr/lib64/b": file("b"), "not-there/c": file("c"), "d": hardlink("lib/a")}
    _, tree = await unpack(layers, tar(links | files))
    assert {path.name for path in (tree / "usr/lib").iterdir()} == {"a", "b"}
    assert ((tree / "x/y/c").read_text(), (tree / "d").read_text()) == ("c", "a")


async def test_a_link_at_the_end_of_a_name_is_replaced(layers: LayerDirectory, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    entries = [("target", file("first")), ("a", symlink("target")), ("b", symlink(str(victim)))]
    _, tree = await unpack(layers, tar([*entries, ("a", file("second")), ("b", file("third"))]))
    assert ((tree / "target").read_text(), (tree / "a").read_text()) == ("first", "second")
    assert not (tree / "b").is_symlink()
    assert victim.read_text() == "kept"


async def test_a_hard_link_to_the_outside(layers: LayerDirectory, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    with pytest.raises(InvalidArgument, match=r"hard link|\.\."):
        await unpack(layers, raw(("link", tarfile.LNKTYPE, "../victim")))
    with pytest.raises(InvalidArgument, match="not in this layer"):
        await unpack(layers, raw(("link", tarfile.LNKTYPE, str(victim))))
    with pytest.raises(InvalidArgument, match="leads outside"):
        await unpack(layers, tar({"way": symlink(str(tmp_path)), "link": hardlink("way/victim")}))
    assert victim.stat().st_nlink == 1


async def test_a_directory_swapped_for_a_link_between_entries(layers: LayerDirectory, tmp_path: Path) -> None:
    entries: list[tuple[str, Node]] = [("d/", directory()), ("d/one", file("1"))]
    entries += [("d", symlink(str(tmp_path))), ("d/two", file("2"))]
    with pytest.raises(InvalidArgument, match="leads outside"):
        await unpack(layers, tar(entries))
    assert not (tmp_path / "two").exists()


async def test_everything_that_a_layer_may_have(layers: LayerDirectory) -> None:
    entries = {
        "./": directory(0o751, mtime=1000),
        "bin/": directory(0o755),
        "bin/su": file("su", 0o4755, uid=0, gid=42),
        "bin/ping": file("ping", 0o755, xattrs={"security.capability": CAPABILITY}),
        "bin/hard": hardlink("bin/su"),
        "link": symlink("/nowhere", uid=7, gid=8),
        "owned/": directory(0o2770, uid=1000, gid=2000, mtime=2000.5),
        "owned/file": file("o", 0o640, uid=1000, gid=2001, mtime=1_500_000_000.25),
        "null": device(1, 3),
        "sda": device(8, 0, 0o660, tarfile.BLKTYPE),
        "pipe": device(0, 0, 0o622, tarfile.FIFOTYPE),
        "attributed": file("", xattrs={"user.key": b"value\0\xff", "trusted.overlay.redirect": b"/etc"}),
        "sticky/": directory(0o1777),
        "name with\nnewline": file("n"),
        "ü" * 120: file("u"),
        "d/" * 60 + "deep": file("deep"),
    }
    layer, tree = await unpack(layers, tar(entries))
    assert stat.S_IMODE(tree.stat().st_mode) == 0o751
    assert tree.stat().st_mtime == 1000
    su = (tree / "bin/su").stat()
    assert (stat.S_IMODE(su.st_mode), su.st_gid, su.st_nlink) == (0o4755, 42, 2)
    assert os.getxattr(tree / "bin/ping", "security.capability") == CAPABILITY
    link = (tree / "link").lstat()
    assert (os.readlink(tree / "link"), link.st_uid, link.st_gid) == ("/nowhere", 7, 8)
    owned, inner = (tree / "owned").stat(), (tree / "owned/file").stat()
    assert (stat.S_IMODE(owned.st_mode), owned.st_uid, owned.st_gid) == (0o2770, 1000, 2000)
    assert owned.st_mtime_ns == 2_000_500_000_000
    assert (stat.S_IMODE(inner.st_mode), inner.st_gid, inner.st_mtime_ns) == (0o640, 2001, 1_500_000_000_250_000_000)
    assert (stat.S_ISCHR((tree / "null").stat().st_mode), (tree / "null").stat().st_rdev) == (True, os.makedev(1, 3))
    assert stat.S_ISBLK((tree / "sda").stat().st_mode)
    assert stat.S_ISFIFO((tree / "pipe").stat().st_mode)
    assert os.listxattr(tree / "attributed") == ["user.key"]
    assert os.getxattr(tree / "attributed", "user.key") == b"value\0\xff"
    assert stat.S_IMODE((tree / "sticky").stat().st_mode) == 0o1777
    assert (tree / "name with\nnewline").read_text() == "n"
    assert (tree / ("ü" * 120)).read_text() == "u"
    assert (tree / ("d/" * 60) / "deep").read_text() == "deep"
    assert layer.inodes == 1 + sum(1 for _ in tree.glob("**/*")) - 1  # one name is a second link


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path)


async def test_whiteouts(layers: LayerDirectory) -> None:
    entries = [
        (".wh.gone", file()),
        ("a/.wh.gone", file()),
        ("opaque/", directory()),
        ("opaque/.wh..wh..opq", file()),
        ("opaque/own", file("x")),
        ("implicit/.wh..wh..opq", file()),
        (".wh..wh.plnk", file()),
        (".wh..wh.aufs", file()),
        ("both", file("kept")),
        (".wh.both", file()),
        ("dir/", directory()),
        (".wh.dir", file()),
        (".wh.later", file()),
        ("later/", directory()),
        ("later/x", file("x")),
    ]
    _, tree = await unpack(layers, tar(entries))
    assert is_whiteout(tree / "gone")
    assert is_whiteout(tree / "a/gone")
    assert is_opaque(tree / "opaque")
    assert is_opaque(tree / "implicit")
    assert (tree / "opaque/own").read_text() == "x"
    assert (tree / "both").read_text() == "kept"
    assert is_opaque(tree / "dir")
    assert is_opaque(tree / "later")
    assert not is_opaque(tree / "a")
    assert {path.name for path in tree.iterdir()} == {"gone", "a", "opaque", "implicit", "both", "dir", "later"}


async def test_entries_replace_earlier_ones(layers: LayerDirectory) -> None:
    entries = [
        ("x", file("first")),
        ("x/", directory()),
        ("x/inner", file("i")),
        ("y/", directory()),
        ("y/a/b/c", file("deep")),
        ("y", file("now a file")),
        ("z/", directory(0o700)),
        ("z/kept", file("k")),
        ("z/", directory(0o711)),
    ]
    _, tree = await unpack(layers, tar(entries))
    assert (tree / "x/inner").read_text() == "i"
    assert (tree / "y").read_text() == "now a file"
    assert stat.S_IMODE((tree / "z").stat().st_mode) == 0o711
    assert (tree / "z/kept").exists()


async def test_too_many_entries(layers: LayerDirectory) -> None:
    with pytest.raises(ResourceExhausted, match="5000 entries"):
        await unpack(layers, tar({f"{n}": file() for n in range(5001)}))
    assert os.listdir(layers.root) == []


@pytest.mark.parametrize("how", ["gzip", "zstd"])
async def test_a_compression_bomb(layers: LayerDirectory, how: str) -> None:
    with pytest.raises(ResourceExhausted, match="more than"):
        await unpack(layers, tar({"zeros": file(bytes(80 << 20))}), how)
    assert os.listdir(layers.root) == []


async def test_a_huge_extension_header(layers: LayerDirectory) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "x" * (2 << 20)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(ResourceExhausted, match="extension header"):
        await unpack(layers, out.getvalue())


async def test_garbage(layers: LayerDirectory) -> None:
    for data in (b"x" * 4096, b"\x1f\x8b" + b"x" * 4096, b"\x28\xb5\x2f\xfd" + b"x" * 4096, b"", b"\0" * 100):
        path = Path(layers.root).parent / "blob"
        path.write_bytes(data)
        with pytest.raises(DataLoss):
            await layers.unpack(1, blob_file(path, digest(b"")), lambda _: None)
    assert os.listdir(layers.root) == []


async def test_types_that_no_layer_has(layers: LayerDirectory) -> None:
    with pytest.raises(InvalidArgument, match="of type"):
        await unpack(layers, raw(("x", b"Z", "")))


async def test_parents_that_are_files(layers: LayerDirectory) -> None:
    with pytest.raises(InvalidArgument, match="cannot be created"):
        await unpack(layers, tar({"a": file("x"), "a/b": file("y")}))
    with pytest.raises(InvalidArgument, match="cannot be created"):
        await unpack(layers, tar({"loop": symlink("loop"), "loop/b": file("y")}))


async def test_a_layer_that_takes_too_long_is_ended(tmp_path: Path, unpacker: Unpacker) -> None:
    slow = LayerDirectory(str(tmp_path), unpacker, LayerLimits(seconds=0.001))
    with pytest.raises(CriError, match="did not end within"):
        await unpack(slow, tar({"a": file("x" * 1000)}))
    assert os.listdir(slow.root) == []


async def test_a_layer_is_known_again_until_it_is_changed(layers: LayerDirectory) -> None:
    entries = {"etc/": directory(), "etc/passwd": file("root"), "b": hardlink("etc/passwd")}
    layer, tree = await unpack(layers, tar(entries))
    assert await layers.examine([layer]) == {}
    before = (tree / "etc/passwd").stat()
    (tree / "etc/passwd").write_text("")
    os.utime(tree / "etc/passwd", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "sizes or times of its files have changed" in (await layers.examine([layer]))[1]
    (tree / "b").unlink()
    (tree / "etc/passwd").unlink()
    assert (await layers.examine([layer]))[1] == f"it has 2 files, {layer.inodes} were unpacked"
    await layers.remove(frozenset({1}))
    gone = Layer(2, layer.diff_id, 1, 1)
    assert await layers.examine([layer, gone]) == {1: "its directory is gone", 2: "its directory is gone"}
    assert await layers.examine([]) == {}


async def test_looking_at_many_layers_changes_none(layers: LayerDirectory, tmp_path: Path) -> None:
    made: list[Layer] = []
    for number in range(1, 6):
        data = tar({f"file-{number}-{n}": file("x") for n in range(number)})
        (tmp_path / "blob").write_bytes(data)
        made.append(await layers.unpack(number, blob_file(tmp_path / "blob", digest(data)), lambda _: None))
    (Path(layers.path(3)) / "more").touch()
    assert await layers.examine(made) == {3: "it has 5 files, 4 were unpacked"}
    assert await layers.examine(made[::-1]) == {3: "it has 5 files, 4 were unpacked"}


async def test_strays_are_listed_and_discarded(layers: LayerDirectory) -> None:
    await unpack(layers, tar({"a": file("x")}))
    (Path(layers.root) / ".tmp-9" / "deep").mkdir(parents=True)
    (Path(layers.root) / "77").mkdir()
    assert await layers.standing() == {"1", ".tmp-9", "77"}
    await layers.discard(frozenset({".tmp-9", "77"}))
    await layers.discard(frozenset({".tmp-9"}))
    assert await layers.standing() == {"1"}
