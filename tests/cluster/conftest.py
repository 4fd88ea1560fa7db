"""One cluster for the session, a namespace for each test, and the proof at the end that nothing is left.

`make test-cluster` runs everything here. `make test` runs what is marked `first`, where the programs have been built.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import down, programs, runtimes, teardown, up
from tests.support.cluster.dirt import dirt
from tests.support.cluster.kube import Kube
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import archives

WHOLE = "CLUSTER_TESTS"
"""Set to "all" by make test-cluster."""

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without being asked for all, only `first` ones are run; and none where a program is missing."""
    here = [item for item in items if "cluster" in item.keywords]
    lacking = programs.missing() if here else ""
    for item in here:
        if lacking:
            item.add_marker(pytest.mark.skip(reason=lacking))
        elif os.environ.get(WHOLE) != "all" and not item.get_closest_marker("first"):
            item.add_marker(pytest.mark.skip(reason="make test-cluster runs it"))


@contextlib.contextmanager
def running(images: list[Path], **wishes: Any) -> Iterator[Cluster]:
    """A cluster with the tests' images, which leaves nothing behind."""
    directory = Path(tempfile.mkdtemp(prefix="ck.", dir="/tmp"))  # short: sockets lie below
    directory.chmod(0o711)
    try:
        cluster = up(directory, **wishes)
        for node in cluster.nodes:
            for path in images:
                runtimes.load(node, path)
        yield cluster
        await_clean(cluster)
    finally:
        if logs := os.environ.get("CLUSTER_LOGS"):
            shutil.copytree(directory / "logs", Path(logs) / directory.name, dirs_exist_ok=True)
        found = Cluster.load(directory)
        down(directory)
        shutil.rmtree(directory, ignore_errors=True)
    assert found and not teardown.left(found)


def await_clean(cluster: Cluster, seconds: float = 150) -> None:
    """Wait until nothing is left of the pods of namespaces that are being deleted; a kubelet collects once a minute."""
    deadline = time.monotonic() + seconds
    while found := dirt(cluster):
        assert time.monotonic() < deadline, found
        time.sleep(1)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Archives to be loaded."""
    return archives(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def cluster(images: list[Path]) -> Iterator[Cluster]:
    """A node with criserver and the kubelet's defaults; beside the host's runc a current one, where one is built."""
    current = {"path": programs.path("runc"), "type": "runc"}
    with running(images, server={"runtime": {"handlers": {"runc-current": current}}}) as made:
        yield made


@contextlib.contextmanager
def namespace(cluster: Cluster, name: str) -> Iterator[Kube]:
    """A namespace that is deleted with all that is in it."""
    kube = Kube(cluster, name)
    kube("create", "namespace", name)
    kube.until(f"/api/v1/namespaces/{name}/serviceaccounts", lambda found: found["items"], 30)
    try:
        yield kube
    finally:
        kube("delete", "pods", "--all", "--wait=false")  # those of controllers come again, and go with the namespace
        kube("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kube(cluster: Cluster) -> Iterator[Kube]:
    """A namespace of the test's own."""
    with namespace(cluster, f"test-{next(_numbers)}") as made:
        yield made
