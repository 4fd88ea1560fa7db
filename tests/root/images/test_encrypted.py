"""Layers that somebody has really encrypted: in the clear on this node with the key, and refused by name without it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from criserver.errors import FailedPrecondition
from tests.support.image_service import Node, node
from tests.support.images import file, image, write_archive, write_layout
from tests.support.registry import Registry

pytest_plugins = ("tests.support.image_fixtures",)

NAME = "registry.k8s.io/encrypted:1"
ACCEPT = [{"type": "insecureAcceptAnything"}]


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def key(path: Path) -> Path:
    """A private key, and the public one beside it."""
    run("openssl", "genrsa", "-out", str(path), "2048")
    run("openssl", "rsa", "-in", str(path), "-pubout", "-out", f"{path}.pub")
    return path


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory, registry: Registry, registries_conf: Path) -> Path:
    """The key of the image that is at the registry now, one of its layers encrypted."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("secret")
    private = key(directory / "key.pem")
    layout = write_layout(directory / "plain", {"x": image({"a": file("secret")}, {"b": file("plain")})})
    encryption = ("--encryption-key", f"jwe:{private}.pub", "--encrypt-layer", "0")
    for target in (f"docker://{registry.address}/encrypted:1", f"oci-archive:{directory}/encrypted.tar:{NAME}"):
        run(
            "skopeo", "--insecure-policy", "--registries-conf", str(registries_conf), "copy", *encryption,
            f"oci:{layout}:x", target,
        )  # fmt: skip
    return private


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys"


def in_the_clear(server: Node, image_id: str) -> bool:
    trees = (server.tree(image_id, 0) / "a", server.tree(image_id, 1) / "b")
    return [tree.read_text() for tree in trees] == ["secret", "plain"]


async def test_with_the_key(tmp_path: Path, registries_conf: Path, secret: Path, keys: Path) -> None:
    key(keys / "another.pem")
    shutil.copy(secret, keys)
    async with node(tmp_path / "root", registries_conf, decryption_keys=keys) as server:
        pulled = await server.images.pull(NAME)
        assert in_the_clear(server, pulled.id)
        assert pulled.repo_tags == (NAME,)
        assert await server.images.pull(NAME) == pulled
        assert server.workspaces() == set()


async def test_under_a_policy_that_knows_the_tag_alone(
    tmp_path: Path, registries_conf: Path, secret: Path, keys: Path
) -> None:
    shutil.copy(secret, keys)
    policy = tmp_path / "policy.json"
    scopes = {"docker": {NAME: ACCEPT}}
    policy.write_text(json.dumps({"default": [{"type": "reject"}], "transports": scopes}))
    async with node(tmp_path / "root", registries_conf, decryption_keys=keys, policy=policy) as server:
        assert in_the_clear(server, (await server.images.pull(NAME)).id)


async def test_without_any_key(tmp_path: Path, registries_conf: Path, secret: Path) -> None:
    words = r"layer sha256:\w+ is encrypted \(application/vnd.oci.*\+encrypted\): .*image.decryption_keys_path"
    async with node(tmp_path / "root", registries_conf) as server:
        with pytest.raises(FailedPrecondition, match=words):
            await server.images.pull(NAME)
        with pytest.raises(FailedPrecondition, match=words):
            await server.images.load(str(secret.with_name("encrypted.tar")))
        server.assert_empty()


async def test_with_another_key(tmp_path: Path, registries_conf: Path, secret: Path, keys: Path) -> None:
    key(keys / "another.pem")
    async with node(tmp_path / "root", registries_conf, decryption_keys=keys) as server:
        with pytest.raises(FailedPrecondition, match="decrypting layer"):
            await server.images.pull(NAME)
        server.assert_empty()


async def test_out_of_an_archive(tmp_path: Path, registries_conf: Path, secret: Path, keys: Path) -> None:
    shutil.copy(secret, keys)
    async with node(tmp_path / "root", registries_conf, decryption_keys=keys) as server:
        (loaded,) = await server.images.load(str(secret.with_name("encrypted.tar")))
        assert in_the_clear(server, loaded.id)
        plain = write_archive(tmp_path / "plain.tar", {"a.example/x:1": image({"x": file("x")})})
        assert len(await server.images.load(str(plain))) == 1


async def test_a_directory_of_keys_that_is_none(tmp_path: Path, registries_conf: Path, secret: Path) -> None:
    (tmp_path / "file").touch()
    for name, words in (("none", "is encrypted"), ("file", r"image\.decryption_keys_path: .*file")):
        async with node(tmp_path / "root", registries_conf, decryption_keys=tmp_path / name) as server:
            with pytest.raises(FailedPrecondition, match=words):
                await server.images.pull(NAME)
            server.assert_empty()
