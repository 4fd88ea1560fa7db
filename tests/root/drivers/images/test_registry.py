"""Pulls from a real registry through the real skopeo and helper: references, credentials, refusals, single flight."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from criserver.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    SignatureRejected,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from criserver.model.image import Credentials
from tests.support.image_service import Node, node
from tests.support.images import (
    ARCHITECTURE,
    assemble,
    busybox_tree,
    compress,
    digest,
    file,
    hardlink,
    image,
    index,
    tar,
)
from tests.support.registry import Registry

pytest_plugins = ("tests.support.image_fixtures",)

SECRET = "s3cret-word"


async def test_a_short_name_gets_the_defaults_of_docker(server: Node) -> None:
    pulled = await server.images.pull("busybox")
    assert pulled.repo_tags == ("docker.io/library/busybox:latest",)
    assert [name.partition("@")[0] for name in pulled.repo_digests] == ["docker.io/library/busybox"]
    assert pulled.defaults.cmd == ("sh",)
    tree = server.tree(pulled.id)
    assert os.stat(tree / "bin/sh").st_ino == os.stat(tree / "bin/busybox").st_ino
    assert server.workspaces() == set()


async def test_by_digest_there_is_no_tag(server: Node, registry: Registry) -> None:
    wanted = registry.push("small", image({"digest": file("d")}))
    pulled = await server.images.pull(f"registry.k8s.io/small@{wanted}")
    assert (pulled.repo_tags, pulled.repo_digests) == ((), (f"registry.k8s.io/small@{wanted}",))


async def test_a_tag_beside_a_digest_is_a_remark(server: Node, registry: Registry) -> None:
    wanted = registry.push("small", image({"digest": file("d")}))
    pulled = await server.images.pull(f"registry.k8s.io/small:nonsense@{wanted}")
    assert pulled.repo_tags == ()


async def test_the_platform_of_this_host_is_chosen_and_the_index_is_the_repo_digest(
    server: Node, registry: Registry
) -> None:
    ours = image({"ours": file("x")})
    other = image({"other": file("x")}, architecture="s390x")
    wanted = registry.push("multi", index({"s390x": other, ARCHITECTURE: ours}), "1")
    pulled = await server.images.pull("registry.k8s.io/multi:1")
    assert (server.tree(pulled.id) / "ours").exists()
    assert pulled.repo_digests == (f"registry.k8s.io/multi@{wanted}",)
    assert (await server.images.pull(f"registry.k8s.io/multi@{wanted}")).id == pulled.id


async def test_an_index_without_this_platform_is_not_found(server: Node, registry: Registry) -> None:
    registry.push("elsewhere", index({"s390x": image({"a": file("x")}, architecture="s390x")}), "1")
    with pytest.raises(NotFound, match=r"elsewhere.*s390x|no image found"):
        await server.images.pull("registry.k8s.io/elsewhere:1")
    server.assert_empty()


async def test_docker_schema_2_keeps_its_id(server: Node, registry: Registry) -> None:
    document = image({"docker": file("x")}, docker=True)
    registry.push("docker", document, "1")
    pulled = await server.images.pull("registry.k8s.io/docker:1")
    assert pulled.id in document.blobs
    assert pulled.repo_digests == (f"registry.k8s.io/docker@{document.digest}",)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_every_compression(server: Node, registry: Registry, compression: str) -> None:
    content = os.urandom(3 << 20) + bytes(3 << 20)
    registry.push(compression, image({"data": file(content)}, compression=compression), "1")
    pulled = await server.images.pull(f"registry.k8s.io/{compression}:1")
    assert (server.tree(pulled.id) / "data").read_bytes() == content


async def test_the_same_image_by_two_registries_is_one(server: Node) -> None:
    first = await server.images.pull("registry.k8s.io/small:1")
    second = await server.images.pull("k8s.gcr.io/small:1")
    assert first.id == second.id
    assert second.repo_tags == ("k8s.gcr.io/small:1", "registry.k8s.io/small:1")
    assert len(server.images.list()) == 1
    await server.images.remove("k8s.gcr.io/small:1")
    server.assert_empty()


async def test_a_moved_tag_leaves_the_old_image_under_its_digest(server: Node, registry: Registry) -> None:
    old = registry.push("moving", image({"old": file("x")}), "1")
    before = await server.images.pull("registry.k8s.io/moving:1")
    registry.push("moving", image({"new": file("x")}), "1")
    after = await server.images.pull("registry.k8s.io/moving:1")
    kept = server.images.resolve(before.id)
    assert kept is not None
    assert (kept.repo_tags, kept.repo_digests) == ((), (f"registry.k8s.io/moving@{old}",))
    assert after.repo_tags == ("registry.k8s.io/moving:1",)
    assert server.images.resolve("registry.k8s.io/moving:1") == after


async def test_what_is_here_is_not_fetched_again(server: Node, registry: Registry) -> None:
    document = image({"again": file("x")})
    registry.push("again", document, "1")
    (layer,) = [blob for blob in document.blobs if not document.blobs[blob].startswith(b"{")]
    await server.images.pull("registry.k8s.io/again:1")
    fetched = registry.requests(layer)
    await server.images.pull("registry.k8s.io/again:1")
    assert registry.requests(layer) == fetched


async def test_ten_pulls_at_once_fetch_once_and_one_that_gives_up_harms_none(server: Node, registry: Registry) -> None:
    document = image({"shared": file(os.urandom(1 << 20))})
    registry.push("shared", document, "1")
    (layer,) = [blob for blob in document.blobs if not document.blobs[blob].startswith(b"{")]
    before = registry.requests(f"GET /v2/shared/blobs/{layer}") or registry.requests(layer)
    pulls = [asyncio.create_task(server.images.pull("registry.k8s.io/shared:1")) for _ in range(10)]  # noqa: TID251
    await asyncio.sleep(0.001)
    pulls[0].cancel()
    results = await asyncio.gather(*pulls, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert {result.id for result in results[1:]} == {next(iter(document.blobs))}  # type: ignore[union-attr]
    assert registry.requests(layer) - before == 1


async def test_images_on_one_base_unpack_it_once(server: Node, registry: Registry) -> None:
    base = busybox_tree()
    for number in range(5):
        registry.push(f"on-base-{number}", image(base, {f"own-{number}": file("x")}), "1")
    pulled = await asyncio.gather(*(server.images.pull(f"registry.k8s.io/on-base-{n}:1") for n in range(5)))
    assert len({each.layers[0] for each in pulled}) == 1
    assert len(server.layer_directories()) == 6
    await server.images.remove(pulled[0].id)
    assert len(server.layer_directories()) == 5
    for each in pulled[1:]:
        await server.images.remove(each.id)
    server.assert_empty()


async def test_usage_is_what_du_says(server: Node, registry: Registry) -> None:
    entries = {"big": file(os.urandom(5 << 20)), "link": hardlink("big")}
    entries |= {f"d/{n}": file("x" * n) for n in range(3000)}
    registry.push("usage", image(entries), "1")
    await server.images.pull("registry.k8s.io/usage:1")
    expected = sum(
        {
            status.st_ino: status.st_blocks * 512
            for path in (server.root / "layers").glob("**/*")
            for status in [path.lstat()]
        }.values()
    )
    assert server.images.usage().used_bytes == pytest.approx(expected, rel=0.01)


@pytest.fixture
def private(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "private", users={"joe": SECRET})


async def test_credentials(private: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with private:
        private.push("small", image({"a": file("x")}), "1")
        conf = private.registries_conf(tmp_path / "private.conf", [])
        name = f"{private.address}/small:1"
        async with node(tmp_path / "root", conf) as server:
            with pytest.raises(Unauthenticated, match="small:1"):
                await server.images.pull(name)
            with pytest.raises(Unauthenticated) as refused:
                await server.images.pull(name, Credentials(username="joe", password="wrong-" + SECRET))
            assert SECRET not in str(refused.value)
            with pytest.raises(Unauthenticated):
                await server.images.pull(name, Credentials("joe", SECRET, server_address="https://other.example"))
            with pytest.raises(InvalidArgument, match="base64"):
                await server.images.pull(name, Credentials(auth="not base64!"))
            with pytest.raises(Unimplemented, match=r"auth\.registry_token"):
                await server.images.pull(name, Credentials(registry_token=SECRET))
            server.assert_empty()
            auth = "am9lOnMzY3JldC13b3Jk"  # joe and the word
            assert (await server.images.pull(name, Credentials(auth=auth))).repo_tags == (name,)
            await server.images.remove(name)
            address = f"https://{private.address}/v1/"
            await server.images.pull(name, Credentials("joe", SECRET, server_address=address))
            with pytest.raises(Unauthenticated):
                await server.images.pull(name)  # being here is no right to it
            assert server.workspaces() == set()
    assert SECRET not in caplog.text


async def test_the_configured_auth_file_is_for_pulls_without_credentials(private: Registry, tmp_path: Path) -> None:
    with private:
        private.push("small", image({"a": file("x")}), "1")
        conf = private.registries_conf(tmp_path / "private.conf", [])
        auth_file = tmp_path / "auth.json"
        auth_file.write_text(json.dumps({"auths": {private.address: {"auth": "am9lOnMzY3JldC13b3Jk"}}}))
        async with node(tmp_path / "root", conf, auth_file=auth_file) as server:
            await server.images.pull(f"{private.address}/small:1")
            with pytest.raises(Unauthenticated):
                await server.images.pull(f"{private.address}/small:1", Credentials("joe", "wrong"))


async def test_no_credential_is_seen_on_a_command_line(private: Registry, tmp_path: Path) -> None:
    seen: list[bytes] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            for directory in Path("/proc").iterdir():
                with contextlib.suppress(OSError):
                    if directory.name.isdecimal():
                        seen.append((directory / "cmdline").read_bytes() + (directory / "environ").read_bytes())

    with private:
        private.push("small", image({"a": file("x")}), "1")
        conf = private.registries_conf(tmp_path / "private.conf", [])
        async with node(tmp_path / "root", conf) as server:

            async def pulling() -> None:
                for _ in range(20):
                    await server.images.pull(f"{private.address}/small:1", Credentials("joe", SECRET))
                    if any(b"skopeo" in each and b"inspect" in each for each in seen):
                        break
                    await server.images.remove(f"{private.address}/small:1")

            await asyncio.gather(asyncio.to_thread(watch), _then(pulling(), ended.set))
    assert any(b"skopeo" in each and b"inspect" in each for each in seen)
    assert not any(SECRET.encode() in each for each in seen)


async def _then(first: Awaitable[object], then: Callable[[], None]) -> None:
    try:
        await first
    finally:
        then()


async def test_a_missing_tag_and_a_missing_repository(server: Node) -> None:
    for name in ("registry.k8s.io/small:nope", "registry.k8s.io/nothing:1"):
        with pytest.raises(NotFound, match=name):
            await server.images.pull(name)
    server.assert_empty()


async def test_a_registry_that_is_not_there(tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text('[[registry]]\nlocation = "127.0.0.1:1"\ninsecure = true\n')
    async with node(tmp_path / "root", conf) as server:
        with pytest.raises(Unavailable, match="refused"):
            await server.images.pull("127.0.0.1:1/small:1")
        server.assert_empty()


async def test_a_blocked_registry(tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text('[[registry]]\nlocation = "blocked.example"\nblocked = true\n')
    async with node(tmp_path / "root", conf) as server:
        with pytest.raises(PermissionDenied, match="blocked"):
            await server.images.pull("blocked.example/small:1")
        server.assert_empty()


async def test_a_policy_that_rejects(tmp_path: Path, registries_conf: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "reject"}]}')
    async with node(tmp_path / "root", registries_conf, policy=policy) as server:
        with pytest.raises(PermissionDenied, match="policy"):
            await server.images.pull("registry.k8s.io/small:1")
        server.assert_empty()


async def test_a_layer_whose_bytes_were_changed(server: Node, registry: Registry) -> None:
    document = image({"changed": file(os.urandom(10000))})
    registry.push("changed", document, "1")
    (layer,) = [blob for blob in document.blobs if not document.blobs[blob].startswith(b"{")]
    path = registry.blob_path(layer)
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataLoss, match="corrupted blob"):
        await server.images.pull("registry.k8s.io/changed:1")
    server.assert_empty()


async def test_a_layer_that_was_packed_otherwise_though_its_tar_is_the_right_one(
    server: Node, registry: Registry
) -> None:
    document = image({"repacked": file(os.urandom(10000))})
    registry.push("repacked", document, "1")
    (layer,) = [blob for blob in document.blobs if not document.blobs[blob].startswith(b"{")]
    path = registry.blob_path(layer)
    data = bytearray(path.read_bytes())
    data[9] ^= 1  # The operating system of gzip's header (RFC 1952), which is not looked at.
    path.write_bytes(data)
    with pytest.raises(DataLoss, match="corrupted blob"):
        await server.images.pull("registry.k8s.io/repacked:1")
    server.assert_empty()


async def test_a_layer_that_is_not_the_one_its_config_promises(server: Node, registry: Registry) -> None:
    config = {"architecture": ARCHITECTURE, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(b"other")]}}
    registry.push("promised", assemble(config, [compress(tar({"a": file("x")}))]), "1")
    with pytest.raises(DataLoss, match=r"uncompressed layer has digest .*, expected"):
        await server.images.pull("registry.k8s.io/promised:1")
    server.assert_empty()


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_a_truncated_layer(server: Node, registry: Registry, compression: str) -> None:
    layer = tar({"data": file(os.urandom(1 << 20))})
    cut = compress(layer, compression)[:700_000]
    config = {"architecture": ARCHITECTURE, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}
    registry.push(f"cut-{compression}", assemble(config, [cut], compression), "1")
    with pytest.raises(DataLoss, match="truncated"):
        await server.images.pull(f"registry.k8s.io/cut-{compression}:1")
    server.assert_empty()


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
async def test_a_corrupt_stream(server: Node, registry: Registry, compression: str) -> None:
    layer = tar({"data": file(os.urandom(1 << 20))})
    data = bytearray(compress(layer, compression))
    data[1000:300_000:7] = bytes(len(data[1000:300_000:7]))
    config = {"architecture": ARCHITECTURE, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}
    registry.push(f"corrupt-{compression}", assemble(config, [bytes(data)], compression), "1")
    with pytest.raises(DataLoss):
        await server.images.pull(f"registry.k8s.io/corrupt-{compression}:1")
    server.assert_empty()


async def test_one_bad_layer_of_many_leaves_nothing(server: Node, registry: Registry) -> None:
    good = [tar({f"{n}": file(os.urandom(1 << 20))}) for n in range(4)]
    diff_ids = [digest(layer) for layer in good[:3]] + [digest(b"wrong")]
    config = {"architecture": ARCHITECTURE, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    registry.push("one-bad", assemble(config, [compress(layer) for layer in good]), "1")
    with pytest.raises(DataLoss, match="expected"):
        await server.images.pull("registry.k8s.io/one-bad:1")
    server.assert_empty()


async def test_an_image_that_a_container_uses_is_not_removed(server: Node) -> None:
    pulled = await server.images.pull("registry.k8s.io/small:1")
    await server.images.lease(pulled.id, "container:c1")
    with pytest.raises(FailedPrecondition, match="container:c1"):
        await server.images.remove(pulled.id)
    await server.images.release("container:c1")
    await asyncio.gather(*(server.images.remove(pulled.id) for _ in range(5)))
    server.assert_empty()
    with pytest.raises(NotFound, match="pull it again"):
        await server.images.lease(pulled.id, "container:c2")


async def test_an_image_without_layers(server: Node, registry: Registry) -> None:
    registry.push("empty", image(config={"Cmd": ["x"]}), "1")
    pulled = await server.images.pull("registry.k8s.io/empty:1")
    assert (pulled.layers, pulled.size) == ((), 1)


async def test_pods_of_a_namespace_have_credentials_of_their_own(private: Registry, tmp_path: Path) -> None:
    with private:
        private.push("small", image({"a": file("x")}), "1")
        conf = private.registries_conf(tmp_path / "private.conf", [])
        hashed = hashlib.sha256(f"{private.address}/small".encode()).hexdigest()
        content = json.dumps({"auths": {private.address: {"auth": "am9lOnMzY3JldC13b3Jk"}}})
        (tmp_path / f"team-{hashed}.json").write_text(content)
        async with node(tmp_path / "root", conf, auth_dir=tmp_path) as server:
            for namespace in ("", "other"):
                with pytest.raises(Unauthenticated):
                    await server.images.pull(f"{private.address}/small:1", None, namespace)
            await server.images.pull(f"{private.address}/small:1", None, "team")
            with pytest.raises(InvalidArgument, match="no namespace"):
                await server.images.pull(f"{private.address}/small:1", None, "../team")


async def test_a_signature_that_is_wanted_and_not_there(
    tmp_path: Path, registries_conf: Path, registry: Registry
) -> None:
    key = tmp_path / "key.gpg"
    key.write_bytes(b"no key at all")
    wanted = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(key)}
    policy = tmp_path / "policy.json"
    scopes = {"docker": {"registry.k8s.io/small": [wanted]}}
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}], "transports": scopes}))
    document = image({"unsigned": file("x")})
    registry.push("unsigned", document, "1")
    async with node(tmp_path / "root", registries_conf, policy=policy) as server:
        with pytest.raises(SignatureRejected, match="signature"):
            await server.images.pull("registry.k8s.io/small:1")
        server.assert_empty()
        await server.images.pull("registry.k8s.io/unsigned:1")
