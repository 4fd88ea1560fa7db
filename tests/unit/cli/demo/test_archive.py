import hashlib
import io
import json
import tarfile
from pathlib import Path

from criserver.cli.demo import archive


def build(tmp_path: Path, name: str, libraries: tuple[str, ...] = ()) -> Path:
    program = tmp_path / "busybox"
    program.write_bytes(b"program")
    busybox = archive.Busybox(str(program), ("busybox", "sh", "ls"), libraries)
    path = tmp_path / name
    size = archive.write(str(path), "localhost/x:tag", {"/www/index.html": b"page"}, ("sh",), busybox)
    assert size == path.stat().st_size
    return path


def blobs(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers() if member.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def test_every_digest_and_size_is_true(tmp_path: Path) -> None:
    files = blobs(build(tmp_path, "a.tar"))
    index = json.loads(files["index.json"])
    [named] = index["manifests"]
    assert named["annotations"]["io.containerd.image.name"] == "localhost/x:tag"
    assert named["annotations"]["org.opencontainers.image.ref.name"] == "tag"
    manifest = json.loads(files["blobs/sha256/" + named["digest"][7:]])
    for descriptor in (named, manifest["config"], *manifest["layers"]):
        blob = files["blobs/sha256/" + descriptor["digest"][7:]]
        assert descriptor["digest"] == "sha256:" + hashlib.sha256(blob).hexdigest()
        assert descriptor["size"] == len(blob)
    config = json.loads(files["blobs/sha256/" + manifest["config"]["digest"][7:]])
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert config["config"]["Cmd"] == ["sh"]


def test_the_layer_has_commands_as_hard_links_and_the_libraries(tmp_path: Path) -> None:
    library = tmp_path / "libc.so.6"
    library.write_bytes(b"library")
    files = blobs(build(tmp_path, "a.tar", (str(library),)))
    layer = max((data for name, data in files.items() if name.startswith("blobs/")), key=len)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        members = {member.name: member for member in tar.getmembers()}
        assert members["bin/sh"].islnk()
        assert members["bin/sh"].linkname == "bin/busybox"
        assert members["tmp"].mode == 0o1777
        for name, data in (("bin/busybox", b"program"), ("www/index.html", b"page"), (str(library)[1:], b"library")):
            file = tar.extractfile(name)
            assert file is not None
            assert file.read() == data
    names = list(members)
    assert all(names.index(name.rpartition("/")[0]) < names.index(name) for name in names if "/" in name)


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    assert build(tmp_path, "a.tar").read_bytes() == build(tmp_path, "b.tar").read_bytes()
