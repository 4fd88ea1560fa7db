"""Images as skopeo lays them out, read without trust."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.drivers.image_directory import read_image
from criserver.errors import DataLoss, InvalidArgument
from tests.support.images import Document, file, image, index


def lay_out(directory: Path, document: Document) -> Path:
    (directory / "manifest.json").write_bytes(document.content)
    for name, blob in document.blobs.items():
        (directory / name.partition(":")[2]).write_bytes(blob)
    return directory


def test_an_image(tmp_path: Path) -> None:
    document = image({"a": file("a")}, {"b": file("b")}, config={"Cmd": ["x"]}, annotations={"k": "v"})
    fetched = read_image(str(lay_out(tmp_path, document)), "x")
    assert fetched.id in document.blobs
    assert (fetched.defaults.cmd, fetched.annotations) == (("x",), {"k": "v"})
    assert [Path(layer.path).read_bytes() for layer in fetched.layers] == [
        document.blobs[layer.digest] for layer in fetched.layers
    ]


def test_newer_skopeos_mark_other_algorithms(tmp_path: Path) -> None:
    document = image({"a": file("a")})
    lay_out(tmp_path, document)
    (layer,) = [name for name in document.blobs if not document.blobs[name].startswith(b"{")]
    hexadecimal = layer.partition(":")[2]
    (tmp_path / hexadecimal).rename(tmp_path / f"sha256-{hexadecimal}")
    assert Path(read_image(str(tmp_path), "x").layers[0].path).name == f"sha256-{hexadecimal}"


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
