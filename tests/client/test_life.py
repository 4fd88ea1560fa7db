"""How containers take their input, and how they are asked to end: stop signals, grace, terminals, stdin, OOM."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.images import busybox_tree, image
from tests.support.registry import Registry
from tests.support.server import Client

EXITED = pb.ContainerState.CONTAINER_EXITED
WITH_SIGNAL = "docker.io/test/stops-by-usr2:latest"
TRAPS = "trap 'echo usr1; exit 1' USR1; trap 'echo usr2; exit 2' USR2; trap 'echo term; exit 3' TERM; echo ready; "
FOREVER = "while :; do usleep 10000; done"


@pytest.fixture(scope="module", autouse=True)
def _pulled(server: Any, registry: Registry) -> None:
    stops = image(busybox_tree(), config={"Env": ["PATH=/bin"], "StopSignal": "SIGUSR2"})
    registry.push("test/stops-by-usr2", stops, "latest")
    with server.client() as client:
        cri.pull(client)
        cri.pull(client, WITH_SIGNAL)


Start = Callable[..., str]


@pytest.fixture
def start(client: Client, logs: Path) -> Iterator[Start]:
    """Starts a container that runs a script; `more` are fields of ContainerConfig."""
    pod = pod_config("life", logs)
    pod_id = cri.run(client, pod)

    def make(script: str, image: str = cri.BUSYBOX, **more: Any) -> str:
        wish = container_config("main", "sh", "-c", script)
        wish.image.image = image
        wish.MergeFrom(pb.ContainerConfig(**more))
        container_id = cri.create(client, pod_id, wish, pod)
        cri.start(client, container_id)
        return container_id

    yield make
    cri.remove_pod(client, pod_id)


def output(client: Client, container_id: str) -> str:
    path = Path(cri.status(client, container_id).log_path)
    return "\n".join(line.split(" ", 3)[3] for line in path.read_text().splitlines()) if path.exists() else ""


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(client: Client, container_id: str) -> pb.ContainerStatus:
    until(lambda: cri.status(client, container_id).state == EXITED)
    return cri.status(client, container_id)


def stop(client: Client, container_id: str, seconds: int) -> None:
    client("StopContainer", pb.StopContainerRequest(container_id=container_id, timeout=seconds))


@pytest.mark.parametrize(
    ("image_name", "asked", "shown", "code"),
    [
        (cri.BUSYBOX, pb.Signal.SIGNAL_RUNTIME_DEFAULT, pb.Signal.SIGNAL_SIGTERM, 3),
        (WITH_SIGNAL, pb.Signal.SIGNAL_RUNTIME_DEFAULT, pb.Signal.SIGNAL_SIGUSR2, 2),
        (WITH_SIGNAL, pb.Signal.SIGNAL_SIGUSR1, pb.Signal.SIGNAL_SIGUSR1, 1),
    ],
    ids=["neither", "image", "request"],
)
def test_stop_signal(client: Client, start: Start, image_name: str, asked: Any, shown: Any, code: int) -> None:
    container_id = start(TRAPS + FOREVER, image_name, stop_signal=asked)
    assert cri.status(client, container_id).stop_signal == shown
    until(lambda: "ready" in output(client, container_id))
    stop(client, container_id, 15)
    assert cri.status(client, container_id).exit_code == code


def test_a_second_stop_with_less_grace_counts(client: Client, start: Start) -> None:
    container_id = start("trap '' TERM; echo ready; " + FOREVER)
    until(lambda: "ready" in output(client, container_id))
    first = threading.Thread(target=stop, args=(client, container_id, 50))
    first.start()
    stop(client, container_id, 0)
    assert cri.status(client, container_id).exit_code == 137
    first.join(10)
    assert not first.is_alive(), "the first stop is over with it"


def test_a_terminal(client: Client, start: Start) -> None:
    container_id = start("test -t 0 && test -t 1 && echo $TERM; tty", tty=True, stdin=True)
    ended(client, container_id)
    assert output(client, container_id).split() == ["xterm", "/dev/pts/0"]


def test_without_stdin_there_is_nothing_to_read(client: Client, start: Start) -> None:
    container_id = start("cat; echo end; test -t 0 || echo no terminal")
    ended(client, container_id)
    assert output(client, container_id).split("\n") == ["end", "no terminal"]


@pytest.mark.parametrize("once", [False, True])
def test_stdin_waits_for_somebody_to_attach(client: Client, start: Start, *, once: bool) -> None:
    container_id = start("echo ready; cat; echo end", stdin=True, stdin_once=once)
    until(lambda: "ready" in output(client, container_id))
    probe = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", "readlink /proc/1/fd/0; pidof cat"])
    fd, cat = client("ExecSync", probe, timeout=20).stdout.decode().split()
    assert fd.startswith("pipe:") and int(cat) > 1
    assert output(client, container_id) == "ready"


def test_out_of_memory_of_a_child(client: Client, start: Start) -> None:
    limits = pb.LinuxContainerConfig(resources=pb.LinuxContainerResources(memory_limit_in_bytes=16 << 20))
    container_id = start("head -c 100000000 /dev/zero | tail; exit 7", linux=limits)
    status = ended(client, container_id)
    assert (status.exit_code, status.reason) == (7, "OOMKilled")
