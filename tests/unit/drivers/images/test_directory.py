"""Images as skopeo lays them out, read without trust."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.drivers.images.directory import read_image
from criserver.errors import DataLoss, InvalidArgument
from criserver.ports.registry import LayerBlob
from tests.support.images import Document, file, image, index


async def content(layer: LayerBlob) -> bytes:
    async with layer.open() as stream:
        return os.read(stream.fd, layer.size + 1)


def lay_out(directory: Path, document: Document) -> Path:
    (directory / "manifest.json").write_bytes(document.content)
    for name, blob in document.blobs.items():
        (directory / name.partition(":")[2]).write_bytes(blob)
    return directory


async def test_an_image(tmp_path: Path) -> None:
    document = image({"a": file("a")}, {"b": file("b")}, config={"Cmd": ["x"]}, annotations={"k": "v"})
    fetched = read_image(str(lay_out(tmp_path, document)), "x")
    assert fetched.id in document.blobs
    assert (fetched.defaults.cmd, fetched.annotations) == (("x",), {"k": "v"})
    assert [await content(layer) for layer in fetched.layers] == [
        document.blobs[layer.digest] for layer in fetched.layers
    ]
    assert [layer.size for layer in fetched.layers] == [len(document.blobs[layer.digest]) for layer in fetched.layers]


async def test_newer_skopeos_mark_other_algorithms(tmp_path: Path) -> None:
    document = image({"a": file("a")})
    lay_out(tmp_path, document)
    (layer,) = [name for name in document.blobs if not document.blobs[name].startswith(b"{")]
    hexadecimal = layer.partition(":")[2]
    (tmp_path / hexadecimal).rename(tmp_path / f"sha256-{hexadecimal}")
    assert await content(read_image(str(tmp_path), "x").layers[0]) == document.blobs[layer]


def test_missing_and_damaged_parts(tmp_path: Path) -> None:
    document = image({"a": file("a")})
    with pytest.raises(DataLoss, match=r"x: manifest\.json"):
        read_image(str(tmp_path), "x")
    lay_out(tmp_path, document)
    config = tmp_path / read_image(str(tmp_path), "x").id.partition(":")[2]
    content = config.read_bytes()
    config.write_bytes(content + b" ")
    with pytest.raises(DataLoss, match="config of x has digest"):
        read_image(str(tmp_path), "x")
    config.unlink()
    os.mkfifo(config)
    with pytest.raises(DataLoss, match="not a regular file"):
        read_image(str(tmp_path), "x")
    config.unlink()
    with config.open("wb") as sparse:
        sparse.truncate(1 << 30)
    with pytest.raises(DataLoss, match="larger than"):
        read_image(str(tmp_path), "x")


def test_an_index_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="index"):
        read_image(str(lay_out(tmp_path, index({"amd64": image({})}))), "x")
