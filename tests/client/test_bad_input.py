"""What cannot be: each refused with a fitting status and words that say what is wrong, and nothing is left of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import assert_clean, free_number, serving
from tests.support import cri, wrapper
from tests.support.cri import container_config, pod_config
from tests.support.images import (
    Document,
    Node,
    assemble,
    compress,
    digest,
    directory,
    file,
    image,
    symlink,
    tar,
)
from tests.support.registry import Registry
from tests.support.server import Client, Server
from tests.support.wrapper import Wrapper

PLUGIN_SECONDS = 1.5
Code = grpc.StatusCode


@pytest.fixture(scope="module")
def plugin(base: Path) -> Wrapper:
    """The network's plugin."""
    return wrapper.plugin(base / "bin")


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str], plugin: Wrapper) -> Iterator[Server]:
    """A server with short patience, a plugin that does what it is told, and an image."""
    config = {
        "image": pulling,
        "network": {
            "bin_dirs": [str(plugin.path.parent), *wrapper.PLUGIN_DIRECTORIES],
            "plugin_timeout": PLUGIN_SECONDS,
        },
        "runtime": {"handlers": {"absent": {"path": "/nowhere/runc"}}},
    }
    with serving(base, config, plugin=plugin.path.name) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture(autouse=True)
def _nothing_left(server: Server, plugin: Wrapper) -> Iterator[None]:
    yield
    plugin.clear()
    server.empty()
    assert_clean(server)


def refused(code: grpc.StatusCode, call: Callable[[], object], *words: str) -> None:
    """The call fails with `code`, and its message holds all of `words`."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    text = str(caught.value.details())
    assert caught.value.code() is code, text
    assert not [word for word in words if word not in text], text


# Requests without what they must have


def test_pod_without_metadata(client: Client) -> None:
    config = pb.PodSandboxConfig()
    refused(Code.INVALID_ARGUMENT, lambda: cri.run(client, config), "config.metadata", "missing")


@pytest.mark.parametrize("name", ["name", "namespace", "uid"])
def test_pod_without_a_name(client: Client, name: str) -> None:
    config = pod_config("p")
    config.metadata.ClearField(name)  # type: ignore[arg-type] # one of the three
    refused(Code.INVALID_ARGUMENT, lambda: cri.run(client, config), f"config.metadata.{name}", "empty")


@pytest.mark.parametrize("name", ["../../etc", "a/b", "a;K8S_POD_NAME=b", "a\nb", "x" * 300], ids=ascii)
def test_pod_with_a_name_that_means_more(client: Client, name: str) -> None:
    config = pod_config("p")
    config.metadata.name = name
    refused(Code.INVALID_ARGUMENT, lambda: cri.run(client, config), "config.metadata.name")


def test_container_without_metadata(client: Client, logs: Path) -> None:
    pod = pod_config("p", logs)
    pod_id = cri.run(client, pod)
    config = container_config("c", "true")
    config.ClearField("metadata")
    refused(Code.INVALID_ARGUMENT, lambda: cri.create(client, pod_id, config, pod), "config.metadata", "missing")


def test_container_without_an_image(client: Client, logs: Path) -> None:
    pod = pod_config("p", logs)
    pod_id = cri.run(client, pod)
    config = container_config("c", "true", image="")
    refused(Code.INVALID_ARGUMENT, lambda: cri.create(client, pod_id, config, pod), "config.image.image", "empty")


@pytest.mark.parametrize("reference", ["docker.io/library/nothing:1", "sha256:" + "0" * 64])
def test_unknown_image(client: Client, logs: Path, reference: str) -> None:
    pod = pod_config("p", logs)
    pod_id = cri.run(client, pod)
    config = container_config("c", "true", image=reference)
    refused(Code.NOT_FOUND, lambda: cri.create(client, pod_id, config, pod), "config.image.image", reference, "pull it")


def test_unknown_sandbox(client: Client) -> None:
    config, pod = container_config("c", "true"), pod_config("p")
    refused(Code.NOT_FOUND, lambda: cri.create(client, "0" * 64, config, pod), "0" * 64, "does not exist")


def test_container_in_a_stopped_pod(client: Client, logs: Path) -> None:
    pod = pod_config("p", logs)
    pod_id = cri.run(client, pod)
    client("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod_id))
    call = lambda: cri.create(client, pod_id, container_config("c", "true"), pod)  # noqa: E731
    refused(Code.FAILED_PRECONDITION, call, pod_id, "NOTREADY")


def test_unknown_handler(client: Client) -> None:
    call = lambda: cri.run(client, pod_config("p"), handler="kata")  # noqa: E731
    refused(Code.INVALID_ARGUMENT, call, "'kata'", "runc")


# Names that are taken


def test_name_of_a_pod_that_its_owner_knows(client: Client) -> None:
    pod = pod_config("taken")
    holder = cri.run(client, pod)
    refused(Code.ALREADY_EXISTS, lambda: cri.run(client, pod), "default/taken", holder)
    pod.labels["changed"] = "yes"
    refused(Code.ALREADY_EXISTS, lambda: cri.run(client, pod), "default/taken", holder)
    assert [found.id for found in cri.pods(client)] == [holder]


def test_name_of_a_container_that_its_owner_knows(client: Client, logs: Path) -> None:
    pod = pod_config("p", logs)
    pod_id = cri.run(client, pod)
    wish = container_config("taken", "sleep", "1000")
    holder = cri.create(client, pod_id, wish, pod)
    refused(Code.ALREADY_EXISTS, lambda: cri.create(client, pod_id, wish, pod), "taken", holder)
    cri.start(client, holder)
    refused(Code.ALREADY_EXISTS, lambda: cri.create(client, pod_id, wish, pod), "taken", holder)
    assert [found.id for found in cri.containers(client)] == [holder]


# What the host does not have


def test_missing_log_directory(client: Client, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    pod = pod_config("p", gone)
    pod_id = cri.run(client, pod)
    call = lambda: cri.create(client, pod_id, container_config("c", "true"), pod)  # noqa: E731
    refused(Code.INVALID_ARGUMENT, call, f"log directory '{gone}' does not exist")


def test_log_directory_that_is_a_file(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pod = pod_config("p", tmp_path / "file")
    pod_id = cri.run(client, pod)
    call = lambda: cri.create(client, pod_id, container_config("c", "true"), pod)  # noqa: E731
    refused(Code.INVALID_ARGUMENT, call, f"log directory '{tmp_path}/file'")


def test_command_not_found(client: Client, logs: Path) -> None:
    pod = pod_config("p", logs)
    pod_id = cri.run(client, pod)
    call = lambda: cri.create(client, pod_id, container_config("c", "no-such-program"), pod)  # noqa: E731
    refused(Code.UNKNOWN, call, '"no-such-program": executable file not found in $PATH')
    assert cri.containers(client) == []


def test_command_that_is_no_program(client: Client, logs: Path) -> None:
    pod = pod_config("p", logs)
    pod_id = cri.run(client, pod)
    call = lambda: cri.create(client, pod_id, container_config("c", "/etc/passwd"), pod)  # noqa: E731
    refused(Code.UNKNOWN, call, "/etc/passwd", "permission denied")


def test_handler_whose_runtime_is_missing(client: Client) -> None:
    call = lambda: cri.run(client, pod_config("p"), handler="absent")  # noqa: E731
    refused(Code.FAILED_PRECONDITION, call, "'absent'", "/nowhere/runc", "runtime.handlers.absent.path")


def test_default_runtime_is_missing(tmp_path: Path, pulling: Mapping[str, str]) -> None:
    config = {
        "image": pulling,
        "runtime": {"default_handler": "runc", "handlers": {"runc": {"path": "/nowhere/runc"}}},
    }
    with serving(tmp_path / "bare", config) as bare, bare.client() as client:
        answer = client("Status", pb.StatusRequest())
        conditions = {condition.type: condition for condition in answer.status.conditions}
        assert not conditions["RuntimeReady"].status
        assert conditions["RuntimeReady"].reason == "RuntimeMissing"
        assert "/nowhere/runc" in conditions["RuntimeReady"].message
        assert not {"", "runc"} & {handler.name for handler in answer.runtime_handlers}
        refused(Code.FAILED_PRECONDITION, lambda: cri.run(client, pod_config("p")), "'runc'", "/nowhere/runc")


def test_runtime_that_goes_away(tmp_path: Path, pulling: Mapping[str, str]) -> None:
    """What cannot be taken back without the runtime stays in the journal, and is once the runtime is there again."""
    runtime = wrapper.runtime(tmp_path / "bin", "create")
    config = {"image": pulling, "runtime": {"handlers": {"runc": {"path": str(runtime.path)}}}}
    (tmp_path / "logs").mkdir()
    pod = pod_config("p", tmp_path / "logs")
    with serving(tmp_path / "server", config) as server:
        with server.client() as client:
            cri.pull(client)
            pod_id = cri.run(client, pod)
            kept = cri.create(client, pod_id, container_config("kept", "true"), pod)
            away = runtime.path.rename(runtime.path.with_name("away"))
            call = lambda: cri.create(client, pod_id, container_config("c", "true"), pod)  # noqa: E731
            refused(Code.UNKNOWN, call, str(runtime.path), "No such file")
            # What waits to be started needs no runtime for it; its end is told, and cleaned up after when there is one.
            cri.start(client, kept)
            server.wait_until(lambda: cri.status(client, kept).state == pb.CONTAINER_EXITED, 10, "its end")
            assert cri.status(client, kept).exit_code == 0
            assert [found.id for found in cri.containers(client)] == [kept]
        away.rename(runtime.path)
        server.stop()
        server.start()


# Networks that are not there, fail or hang


def test_plugin_that_fails(client: Client, plugin: Wrapper) -> None:
    plugin.first(wrapper.cni_error(11, "no addresses now", "pool of 10.0.0.0/30 is used up"))
    call = lambda: cri.run(client, pod_config("p"))  # noqa: E731
    refused(Code.UNKNOWN, call, 'plugin "test-bridge" ADD', "no addresses now", "pool of 10.0.0.0/30 is used up")
    assert plugin.calls("DEL") == 1
    assert cri.pods(client) == []


def test_plugin_that_dies(client: Client, plugin: Wrapper) -> None:
    plugin.first("echo 'panic: out of wits' >&2; kill -SEGV $$")
    refused(Code.UNKNOWN, lambda: cri.run(client, pod_config("p")), '"test-bridge"', "panic: out of wits")


def test_plugin_that_hangs(client: Client, plugin: Wrapper) -> None:
    plugin.first("sleep 1007")
    call = lambda: cri.run(client, pod_config("p"))  # noqa: E731
    refused(Code.UNKNOWN, call, '"test-bridge"', f"{PLUGIN_SECONDS}")
    assert cri.pods(client) == []
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 1007" not in listing, "what the plugin started is dead too"


def test_plugin_that_is_missing(client: Client, plugin: Wrapper) -> None:
    away = plugin.path.rename(plugin.path.with_name("away"))
    try:
        refused(Code.UNKNOWN, lambda: cri.run(client, pod_config("p")), "test-bridge", str(plugin.path.parent))
        answer = client("Status", pb.StatusRequest())
        (condition,) = [each for each in answer.status.conditions if each.type == "NetworkReady"]
        assert not condition.status
        assert "test-bridge" in condition.message
    finally:
        away.rename(plugin.path)


def test_no_network_configuration(tmp_path: Path, pulling: Mapping[str, str]) -> None:
    config = {"image": pulling, "network": {"default_conflist": False}}
    with serving(tmp_path / "bare", config) as bare, bare.client() as client:
        conflist = bare.conf_dir / "10-test.conflist"
        away = conflist.rename(tmp_path / "away")
        words = f"no network configuration in {bare.conf_dir}"
        assert network_ready(client) == (False, "NetworkPluginNotReady", words)
        refused(Code.UNAVAILABLE, lambda: cri.run(client, pod_config("p")), words)
        assert cri.pods(client) == []
        on_node = pod_config("on-node")
        on_node.linux.security_context.namespace_options.network = pb.NamespaceMode.NODE
        cri.remove_pod(client, cri.run(client, on_node))  # what brings the network (a CNI add-on) must be able to start
        away.rename(conflist)
        assert network_ready(client)[0], "without a restart"
        cri.remove_pod(client, cri.run(client, pod_config("p")))


def test_broken_network_configuration(tmp_path: Path, pulling: Mapping[str, str]) -> None:
    with serving(tmp_path / "bare", {"image": pulling}) as bare, bare.client() as client:
        conflist = bare.conf_dir / "10-test.conflist"
        conflist.write_text('{"name": "broken"')
        ready, _, message = network_ready(client)
        assert not ready, "somebody wants another network than the embedded one"
        assert str(conflist) in message
        refused(Code.UNAVAILABLE, lambda: cri.run(client, pod_config("p")), str(conflist))


def network_ready(client: Client) -> tuple[bool, str, str]:
    """NetworkReady with reason and message, without the words before the plugin's own."""
    answer = client("Status", pb.StatusRequest())
    (condition,) = [each for each in answer.status.conditions if each.type == "NetworkReady"]
    return condition.status, condition.reason, condition.message.removeprefix("network is not ready: ")


# Images that are not what they say


@pytest.fixture
def known(client: Client) -> Iterator[None]:
    """No image comes to what is known."""

    def ids() -> list[str]:
        return sorted(each.id for each in client("ListImages", pb.ListImagesRequest()).images)

    before = ids()
    yield
    assert ids() == before


def push(registry: Registry, document: Document) -> str:
    """Store an image under a name of its own; the reference."""
    name = f"bad-{document.digest[7:19]}"
    registry.push(name, document, "1")
    return f"registry.k8s.io/{name}:1"


def one_layer(tree: dict[str, Node] | bytes) -> Document:
    return image(tree)


@pytest.mark.usefixtures("known")
def test_unknown_reference(client: Client) -> None:
    refused(Code.NOT_FOUND, lambda: cri.pull(client, "registry.k8s.io/nothing:1"), "registry.k8s.io/nothing:1")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("reference", ["", "UPPER/case:1", "busybox:bad tag", "busybox@sha256:123"], ids=ascii)
def test_reference_that_is_none(client: Client, reference: str) -> None:
    refused(Code.INVALID_ARGUMENT, lambda: cri.pull(client, reference), reference or "image.image is empty")


@pytest.mark.usefixtures("known")
def test_layer_with_another_digest(client: Client, registry: Registry) -> None:
    layer = tar({"file": file(os.urandom(1000))})
    document = one_layer(layer)
    reference = push(registry, document)
    blob = digest(compress(layer))
    path = registry.blob_path(blob)
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    refused(Code.DATA_LOSS, lambda: cri.pull(client, reference), reference.removesuffix(":1"), blob)


@pytest.mark.usefixtures("known")
def test_layer_with_another_diff_id(client: Client, registry: Registry) -> None:
    layer = tar({"file": file("said one thing")})
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]},
    }
    reference = push(registry, assemble(configuration, [compress(layer)]))
    refused(Code.DATA_LOSS, lambda: cri.pull(client, reference), "sha256:" + "1" * 64, digest(layer))


@pytest.mark.usefixtures("known")
def test_layer_cut_off_on_its_way(client: Client, registry: Registry) -> None:
    layer = tar({"file": file(os.urandom(100_000))})
    reference = push(registry, one_layer(layer))
    path = registry.blob_path(digest(compress(layer)))
    path.write_bytes(path.read_bytes()[:50_000])
    refused(Code.DATA_LOSS, lambda: cri.pull(client, reference), reference.removesuffix(":1"))


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("compressed", [True, False], ids=["gzip stream", "tar"])
def test_layer_that_ends_early(client: Client, registry: Registry, compressed: bool) -> None:
    layer = tar({"file": file(os.urandom(100_000))})
    blob = compress(layer)[:50_000] if compressed else compress(layer[:50_000])
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer if compressed else layer[:50_000])]},
    }
    reference = push(registry, assemble(configuration, [blob]))
    refused(Code.DATA_LOSS, lambda: cri.pull(client, reference), digest(blob))


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/../escaped"])
def test_tar_entry_with_two_dots(client: Client, registry: Registry, server: Server, name: str) -> None:
    reference = push(registry, one_layer({"good": file("x"), name: file("out")}))
    refused(Code.INVALID_ARGUMENT, lambda: cri.pull(client, reference), "..", "escaped")
    assert not list(server.base.rglob("escaped"))


def test_tar_entry_through_a_symlink(client: Client, registry: Registry, server: Server, tmp_path: Path) -> None:
    """Such a link leads to a place inside of the layer, as it will for the container, and never out of it."""
    (tmp_path / "victim").write_text("unharmed")
    layer = {"link": symlink(str(tmp_path)), "link/victim": file("overwritten"), "link/made": file("made")}
    reference = push(registry, one_layer(layer))
    try:
        cri.pull(client, reference)
    except grpc.RpcError as error:
        assert error.code() is Code.INVALID_ARGUMENT, error.details()
        assert "link" in str(error.details())
    assert (tmp_path / "victim").read_text() == "unharmed"
    assert not (tmp_path / "made").exists()
    client("RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)))


@pytest.mark.usefixtures("known")
def test_hard_link_out_of_the_layer(client: Client, registry: Registry, tmp_path: Path) -> None:
    layer = {"etc/": directory(), "etc/shadow": Node(tarfile.LNKTYPE, target="../../../../etc/shadow")}
    reference = push(registry, one_layer(layer))
    refused(Code.INVALID_ARGUMENT, lambda: cri.pull(client, reference), "etc/shadow")


@pytest.fixture
def small(tmp_path: Path, pulling: Mapping[str, str]) -> Iterator[tuple[Server, Client]]:
    """A server whose root is a file system of 16 MiB."""
    base = tmp_path / "small"
    (base / "root").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "criserver-test", base / "root"], check=True)
    running = Server(base, free_number(), {"image": pulling})
    try:
        running.start()
        with running.client() as client:
            yield running, client
        assert running.mounts() == [str(running.root)]
        running.stop()
    finally:
        running.destroy()


@pytest.mark.parametrize(
    "content", [os.urandom(24 << 20), b"x" * (24 << 20)], ids=["while downloading", "while unpacking"]
)
def test_disk_full_while_pulling(small: tuple[Server, Client], registry: Registry, content: bytes) -> None:
    server, client = small
    reference = push(registry, image({"data": file(content)}))
    refused(Code.RESOURCE_EXHAUSTED, lambda: cri.pull(client, reference), "o space left on device")
    left: dict[str, Any] = server.left()
    assert (left["rows"], left["pulls"]) == ([], [])
    assert shutil.disk_usage(server.root).used < 4 << 20
    fits = push(registry, image({"small": file("fits")}))
    assert cri.pull(client, fits)
