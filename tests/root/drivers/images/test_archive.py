"""Archive files become images without a registry."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from criserver.errors import CriError, InvalidArgument, NotFound, Unimplemented
from tests.support.image_service import Node, node
from tests.support.images import (
    ARCHITECTURE,
    busybox_tree,
    digest,
    directory,
    file,
    image,
    index,
    tar,
    write_archive,
    write_layout,
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Node]:
    async with node(tmp_path / "root") as running:
        yield running


async def test_oci_archive(server: Node, tmp_path: Path) -> None:
    document = image(busybox_tree(), config={"Cmd": ["sh"]}, compression="none")
    archive = write_archive(tmp_path / "one.tar", {"docker.io/library/demo:1": document})
    (loaded,) = await server.images.load(str(archive))
    assert loaded.repo_tags == ("docker.io/library/demo:1",)
    assert loaded.id in document.blobs
    assert (server.tree(loaded.id) / "bin/sh").exists()
    assert server.images.resolve("demo:1") == loaded
    assert await server.images.load(str(archive)) == (loaded,)
    await server.images.remove("demo:1")
    server.assert_empty()


async def test_several_images_and_an_index_in_one_archive(server: Node, tmp_path: Path) -> None:
    other = image({"x": file("s390x")}, architecture="s390x")
    multi = index({"s390x": other, ARCHITECTURE: image({"x": file("ours")})})
    documents = {"example.org/a:1": image({"a": file("a")}), "example.org/multi:2": multi}
    archive = write_archive(tmp_path / "two.tar", documents)
    loaded = await server.images.load(str(archive))
    assert [each.repo_tags for each in loaded] == [("example.org/a:1",), ("example.org/multi:2",)]
    assert (server.tree(loaded[1].id) / "x").read_text() == "ours"


async def test_a_name_that_is_a_tag_alone_names_nothing(server: Node, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "tag.tar", {"latest": image({"a": file("a")})})
    (loaded,) = await server.images.load(str(archive))
    assert (loaded.repo_tags, loaded.repo_digests) == ((), ())
    assert server.images.resolve(loaded.id) == loaded


def write_docker_archive(directory: Path, name: str) -> str:
    layout = write_layout(directory / "layout", {"x": image({"a": file("a")})})
    path = f"{directory}/docker.tar"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{layout}:x", f"docker-archive:{path}:{name}"], check=True)
    return path


async def test_docker_archive(server: Node, tmp_path: Path) -> None:
    archive = write_docker_archive(tmp_path, "example.org/docker:1")
    (loaded,) = await server.images.load(archive)
    assert loaded.repo_tags == ("example.org/docker:1",)
    assert (server.tree(loaded.id) / "a").read_text() == "a"


async def test_files_that_are_no_archives(server: Node, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a tar\n" * 1000)
    (tmp_path / "empty.tar").write_bytes(bytes(10240))
    whole = write_archive(tmp_path / "whole.tar", {"a.b/c:1": image({"a": file("a" * 50000)}, compression="none")})
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:20000])
    with pytest.raises(NotFound, match="does not exist"):
        await server.images.load(f"{tmp_path}/missing")
    with pytest.raises(InvalidArgument, match="absolute"):
        await server.images.load("relative.tar")
    for name in ("text", "empty.tar"):
        with pytest.raises(InvalidArgument, match=name):
            await server.images.load(f"{tmp_path}/{name}")
    with pytest.raises(CriError, match=r"cut\.tar"):
        await server.images.load(f"{tmp_path}/cut.tar")
    server.assert_empty()


def docker_save(path: Path, images: Mapping[str, list[bytes]]) -> Path:
    """What `docker save` of several images writes: legacy names, layers that images share once."""
    with tarfile.open(path, "w") as archive:

        def add(name: str, data: bytes) -> str:
            if name not in archive.getnames():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            return name

        rows = []
        for name, layers in images.items():
            config = json.dumps(
                {
                    "architecture": ARCHITECTURE,
                    "os": "linux",
                    "config": {"Cmd": ["sh"]},
                    "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
                }
            ).encode()
            names = [add(f"{digest(layer)[7:]}/layer.tar", layer) for layer in layers]
            row = {"Config": add(f"{digest(config)[7:]}.json", config), "RepoTags": [name], "Layers": names}
            rows.append(row)
        add("manifest.json", json.dumps(rows).encode())
        add("repositories", b"{}")
    return path


@pytest.mark.parametrize("compressed", [False, True])
async def test_docker_save_of_several_images_also_compressed(server: Node, tmp_path: Path, compressed: bool) -> None:
    base, more = tar({"etc/": directory(), "etc/base": file("base")}), tar({"more": file("more")})
    path = docker_save(tmp_path / "saved.tar", {"docker.io/library/one:1": [base], "two.example/two:2": [base, more]})
    if compressed:
        path = path.with_suffix(".tar.gz")
        path.write_bytes(gzip.compress((tmp_path / "saved.tar").read_bytes()))
    loaded = await server.images.load(str(path))
    assert [each.repo_tags for each in loaded] == [("docker.io/library/one:1",), ("two.example/two:2",)]
    assert (server.tree(loaded[1].id, 1) / "more").read_text() == "more"
    assert len(server.layer_directories()) == 2, "the base is there once"


async def test_a_compressed_oci_archive(server: Node, tmp_path: Path) -> None:
    plain = write_archive(tmp_path / "plain.tar", {"a.example/z:1": image({"a": file("a")})})
    (tmp_path / "z.tgz").write_bytes(gzip.compress(plain.read_bytes()))
    (loaded,) = await server.images.load(f"{tmp_path}/z.tgz")
    assert (server.tree(loaded.id) / "a").read_text() == "a"


async def test_an_index_that_is_there_twice_is_refused(server: Node, tmp_path: Path) -> None:
    for name, document in (("index.json", image({"a": file("a")})), ("manifest.json", None)):
        if document is not None:
            path = write_archive(tmp_path / "twice.tar", {"a.example/z:1": document})
        else:
            path = docker_save(tmp_path / "twice2.tar", {"a.example/z:1": [tar({"a": file("a")})]})
        with tarfile.open(path, "a") as archive:
            info = tarfile.TarInfo(name)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"[]"))
        with pytest.raises(InvalidArgument, match=f"ambiguous: it has {name} twice"):
            await server.images.load(str(path))
    server.assert_empty()


async def test_digests_of_another_algorithm(server: Node, tmp_path: Path) -> None:
    """Every blob of the layout under its sha512."""
    layer = tar({"a": file("strong")})
    blobs: dict[str, bytes] = {}

    def described(data: bytes, kind: str) -> dict[str, object]:
        name = hashlib.sha512(data).hexdigest()
        blobs[name] = data
        return {"mediaType": kind, "digest": f"sha512:{name}", "size": len(data)}

    rootfs = {"type": "layers", "diff_ids": [f"sha512:{hashlib.sha512(layer).hexdigest()}"]}
    config = json.dumps({"architecture": ARCHITECTURE, "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(layer, "application/vnd.oci.image.layer.v1.tar")],
    }
    top = described(json.dumps(manifest).encode(), str(manifest["mediaType"]))
    top["annotations"] = {"org.opencontainers.image.ref.name": "a.example/strong:1"}
    layout = tmp_path / "layout"
    (layout / "blobs" / "sha512").mkdir(parents=True)
    for name, data in blobs.items():
        (layout / "blobs" / "sha512" / name).write_bytes(data)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    with tarfile.open(tmp_path / "strong.tar", "w") as archive:
        archive.add(layout, arcname=".")
    try:
        (loaded,) = await server.images.load(f"{tmp_path}/strong.tar")
    except Unimplemented as error:  # skopeo before 1.20
        assert "copies no digests but sha256" in str(error)
        server.assert_empty()
        return
    assert (loaded.id[:7], loaded.repo_tags) == ("sha512:", ("a.example/strong:1",))
    assert (server.tree(loaded.id) / "a").read_text() == "strong"
    assert server.images.resolve(loaded.id) == loaded
    await server.images.remove(loaded.id)
    server.assert_empty()
