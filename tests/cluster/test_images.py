"""Images as a kubelet handles them: pull policies, secrets of a registry, and what is collected when disks fill."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.cluster.conftest import namespace, running
from tests.support import registry as registries
from tests.support.cluster import nodes, processes, runtimes
from tests.support.cluster.kube import Kube, container_status, restarts
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import container, pod
from tests.support.images import busybox_tree, image
from tests.support.registry import Registry

pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(bool(registries.missing()), reason=registries.missing())]

USER, PASSWORD = "puller", "s3cret"


@pytest.fixture(scope="module")
def pulling(images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that pulls from `registry`."""
    directory = tmp_path_factory.mktemp("pulling")
    (directory / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    where = {"registries_conf": str(directory / "registries.conf"), "policy": str(directory / "policy.json")}
    with running(images, server={"image": where}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def registry(pulling: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry on this host that wants a password, with the image app:v. Credentials are not sent to mirrors of a
    registry (containers/image), so that pods name it by its address."""
    directory = tmp_path_factory.mktemp("registry")
    with Registry(directory, users={USER: PASSWORD}, host=pulling.gateway) as started:
        started.registries_conf(Path(pulling.server["image"]["registries_conf"]), [])
        _push(started, "1")
        yield started


@pytest.fixture
def kube(pulling: Cluster, registry: Registry) -> Iterator[Kube]:
    """A namespace with the secret "puller"."""
    with namespace(pulling, f"images-{os.urandom(3).hex()}") as made:
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        content = json.dumps({"auths": {registry.address: {"auth": auth}}})
        kind = {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": content}}
        made.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "puller"}, **kind})
        yield made


def test_an_image_is_pulled_with_the_pods_secret_and_refused_without(kube: Kube, registry: Registry) -> None:
    kube.apply(_app("open", f"{registry.address}/app:v"))
    kube.until("pods/open", lambda item: _waiting(item) in ("ErrImagePull", "ImagePullBackOff"))
    said = " ".join(kube.events("open"))
    assert registry.address in said and ("unauthorized" in said or "authentication required" in said), said
    kube.apply(_app("closed", f"{registry.address}/app:v", imagePullSecrets=[{"name": "puller"}]))
    status = container_status(kube.ended("closed"))
    assert kube.logs("closed") == "version 1\n"
    assert status["image"] == f"{registry.address}/app:v"
    assert status["imageID"].startswith(f"{registry.address}/app@sha256:")
    assert any(event.startswith("Pulled: Successfully pulled image") for event in kube.events("closed"))


def test_policies_decide_when_an_image_is_pulled(kube: Kube, registry: Registry) -> None:
    secrets: dict[str, Any] = {"imagePullSecrets": [{"name": "puller"}]}
    image = f"{registry.address}/app:v"
    kube.apply(_app("first", image, **secrets))
    kube.ended("first")
    _push(registry, "2")
    try:
        kube.apply(_app("present", image, **secrets), _app("always", image, policy="Always", **secrets))
        kube.ended("present")
        kube.ended("always")
        assert (kube.logs("present"), kube.logs("always")) == ("version 1\n", "version 2\n")
    finally:
        _push(registry, "1")
    kube.apply(_app("never", f"{registry.address}/absent:1", policy="Never"))
    kube.until("pods/never", lambda item: _waiting(item) == "ErrImageNeverPull")


def test_an_image_that_is_not_there_is_asked_for_ever_later(kube: Kube, registry: Registry) -> None:
    kube.apply(_app("lost", f"{registry.address}/app:absent", imagePullSecrets=[{"name": "puller"}]))
    kube.until("pods/lost", lambda item: _waiting(item) == "ImagePullBackOff")
    assert "manifest unknown" in " ".join(kube.events("lost"))


def test_containers_that_have_ended_are_collected(kube: Kube, pulling: Cluster) -> None:
    kube.apply(pod("crash", container("main", "exit 1"), restartPolicy="Always"))
    kube.until("pods/crash", lambda item: restarts(item) >= 3, 120)
    uid = kube.pod("crash")["metadata"]["uid"]
    processes.wait_until(lambda: len(_containers(pulling, uid)) <= 2, 90, "ended containers to be collected")
    assert kube.logs("crash", "--previous") == ""


def test_a_full_disk_costs_unused_images_first_and_then_pods(
    kube: Kube, pulling: Cluster, registry: Registry, images: list[Path]
) -> None:
    node, image = pulling.nodes[0], f"{registry.address}/app:v"
    kube.apply(_app("used", image, imagePullSecrets=[{"name": "puller"}]))
    kube.ended("used")
    kube.delete("pod", "used")
    kube.apply(pod("victim"))
    kube.ready("victim")
    assert any(image in name for name in _images(pulling))
    available = os.statvfs(node.directory).f_bavail * os.statvfs(node.directory).f_frsize
    with evicting(pulling, {"nodefs.available": str(available + (8 << 30))}):
        kube.until("/api/v1/nodes/node1", lambda item: _condition(item, "DiskPressure") == "True", 60)
        kube.ended("victim", 120)
        assert any(event.startswith("Evicted: ") for event in kube.events("victim"))
        removed = "the unused image to be removed"
        processes.wait_until(lambda: not any(image in name for name in _images(pulling)), 60, removed)
    kube.until("/api/v1/nodes/node1", lambda item: _condition(item, "DiskPressure") == "False", 90)
    for path in images:
        runtimes.load(node, path)  # the kubelet took those away too


@contextlib.contextmanager
def evicting(cluster: Cluster, hard: dict[str, str]) -> Iterator[None]:
    """A kubelet with other thresholds for as long as this lasts."""
    quick = {"evictionPressureTransitionPeriod": "1s"}
    nodes.restart_kubelet(cluster.nodes[0], {**quick, "evictionHard": hard, "imageMinimumGCAge": "1s"})
    yield
    nodes.restart_kubelet(cluster.nodes[0], quick)


def _push(registry: Registry, version: str) -> None:
    registry.push("app", image(busybox_tree(), config={"Cmd": ["echo", f"version {version}"]}), "v", "latest")


def _app(name: str, image: str, *, policy: str = "IfNotPresent", **more: Any) -> dict[str, Any]:
    return pod(name, {"name": "main", "image": image, "imagePullPolicy": policy}, **more)


def _waiting(item: Any) -> str:
    return str(container_status(item).get("state", {}).get("waiting", {}).get("reason", ""))


def _condition(node: Any, kind: str) -> str:
    return next(str(c["status"]) for c in node["status"]["conditions"] if c["type"] == kind)


def _containers(cluster: Cluster, uid: str) -> list[str]:
    request = pb.ListContainersRequest(
        filter=pb.ContainerFilter(label_selector={"io.kubernetes.pod.uid": uid})
    )
    with runtimes.connected(cluster.nodes[0]) as client:
        return [item.id for item in client("ListContainers", request).containers]


def _images(cluster: Cluster) -> list[str]:
    with runtimes.connected(cluster.nodes[0]) as client:
        return [tag for item in client("ListImages", pb.ListImagesRequest()).images for tag in item.repo_tags]
