"""Archive files become images without a registry."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from criserver.errors import CriError, InvalidArgument, NotFound
from tests.support.image_service import Node, node
from tests.support.images import ARCHITECTURE, busybox_tree, file, image, index, write_archive, write_layout


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
