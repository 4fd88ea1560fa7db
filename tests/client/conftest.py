"""A registry for the session and a real server for each module, which must leave nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from tests.support import crictl as tools
from tests.support import critest as suite
from tests.support import oci_schema
from tests.support import registry as registries
from tests.support.crictl import Crictl
from tests.support.critest import Critest
from tests.support.critest_images import push_all
from tests.support.documenting import DOCUMENTS
from tests.support.images import busybox_tree, image
from tests.support.registry import Registry
from tests.support.server import Client, Server


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """docker-registry with docker.io/library/busybox and what tests push."""
    lacking = registries.missing() or ("" if shutil.which("skopeo") else "skopeo is not installed")
    if lacking:
        pytest.skip(lacking)
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        busybox = image(busybox_tree(), config={"Cmd": ["sh"], "Env": ["PATH=/bin", "FROM=image"]})
        running.push("library/busybox", busybox, "latest")
        yield running


@pytest.fixture(scope="session")
def pulling(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The `image` section of a configuration whose registries are all `registry`."""
    directory = tmp_path_factory.mktemp("pulling")
    policy = directory / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    return {"registries_conf": str(registry.registries_conf(directory / "r.conf")), "policy": str(policy)}


@pytest.fixture(scope="session")
def critest(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Critest:
    """critest, and everything that it pulls."""
    if lacking := suite.missing():
        pytest.skip(lacking)
    return Critest.prepared(tmp_path_factory.mktemp("critest"), push_all(registry))


CLAIMS: list[IO[bytes]] = []


def free_number() -> int:
    """A number for a `Server`, this run's alone for as long as it lasts, whatever other runs there are."""
    for number in range(100):
        claim = open(f"/run/lock/criserver-test-{number}", "ab")  # noqa: SIM115 - the lock is held until the end
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not Path(f"/sys/class/net/critest{number}").exists():
                CLAIMS.append(claim)
                return number
        claim.close()
    raise RuntimeError("a hundred servers are being tested already")


@contextlib.contextmanager
def serving(
    base: Path, config: Mapping[str, Any], *, plugin: str = "bridge", wrapper: Sequence[str] = ()
) -> Iterator[Server]:
    """A running server; at the end its pods are removed, and nothing may be left of them.

    Every config.json that it has made is valid by the OCI's own schema.
    """
    base.mkdir(exist_ok=True)
    module = ("-m", "tests.support.documenting")  # not by its path: the project may be installed nowhere
    running = Server(base, free_number(), config, module=module, plugin=plugin, wrapper=wrapper)
    try:
        running.start()
        yield running
        running.empty()
        assert_clean(running)
        made = base / DOCUMENTS
        assert not made.exists() or oci_schema.faults(made.read_text().splitlines()) == []
    finally:
        running.destroy()


def assert_clean(running: Server) -> None:
    """Nothing is left of pods, containers and pulls."""
    assert not {what: things for what, things in running.left().items() if things}, running.tail()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module's directory."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    """A server that can pull from the registry."""
    with serving(base, {"image": pulling}) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A connection to the server."""
    with server.client() as connected:
        yield connected


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A log directory for a pod."""
    path = tmp_path / "logs"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def crictl(server: Server) -> Crictl:
    """crictl against the server."""
    if lacking := tools.missing():
        pytest.skip(lacking)
    return Crictl(server.socket, server.base / "crictl")
