"""What people do with kubectl: exec, attach, logs, cp, port-forward, debug."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import processes, runtimes
from tests.support.cluster.kube import Kube, container_status
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import BUSYBOX, agn, container, pod

pytestmark = pytest.mark.timeout(300)


@pytest.mark.first
def test_exec_gives_output_errors_input_and_the_exit_code(kube: Kube) -> None:
    kube.apply(pod("shell"))
    kube.ready("shell")
    done = kube.run("exec", "-i", "shell", "--", "sh", "-c", "cat; echo bad >&2; exit 3", given="hello\n")
    assert (done.stdout, done.returncode) == ("hello\n", 3)
    assert done.stderr.startswith("bad\n")


def test_exec_with_a_terminal_knows_its_size(kube: Kube) -> None:
    kube.apply(pod("shell"))
    kube.ready("shell")
    with _terminal(kube, "exec", "-it", "shell", "--", "sh") as terminal:
        os.write(terminal, b"stty size; tty; exit\n")
        said = _read_until(terminal, "/dev/pts/0")
    assert "24 80" in said


def test_attach_joins_a_running_container(kube: Kube) -> None:
    kube.apply(pod("talker", container("main", "while read line; do echo got $line; done", stdin=True, stdinOnce=True)))
    kube.ready("talker")
    done = kube.run("attach", "-i", "talker", given="one\ntwo\n", seconds=30)
    assert "got one\ngot two\n" in done.stdout
    kube.ended("talker")


@pytest.mark.first
def test_logs_are_followed_to_the_end(kube: Kube) -> None:
    kube.apply(pod("counter", container("main", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done")))
    kube.until("pods/counter", lambda item: "running" in container_status(item).get("state", {}))
    assert kube.logs("counter", "-f").split() == list("123456")
    assert kube.logs("counter", "--tail=2").split() == ["5", "6"]
    assert re.match(r"20\d\d-.*Z? 1\n", kube.logs("counter", "--timestamps"))


def test_files_are_copied_in_and_out(kube: Kube, tmp_path: Path) -> None:
    kube.apply(pod("box"))
    kube.ready("box")
    data = os.urandom(3 << 20)
    (tmp_path / "in").write_bytes(data)
    kube("cp", str(tmp_path / "in"), "box:/root/data")
    kube("cp", "box:/root/data", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == data


@pytest.mark.first
def test_ports_are_forwarded(kube: Kube) -> None:
    kube.apply(pod("server", agn("main", "netexec", "--http-port=8080")))
    kube.ready("server")
    with _process(kube, "port-forward", "pod/server", ":8080") as forward:
        assert forward.stdout
        port = re.search(r"127.0.0.1:(\d+)", forward.stdout.readline().decode())
        assert port
        for _ in range(20):
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/hostname", timeout=10) as answer:
                assert answer.read() == b"server"


def test_an_ephemeral_container_sees_the_processes_of_its_target(kube: Kube) -> None:
    kube.apply(pod("quiet", container("main", "exec sleep 3333")))
    kube.ready("quiet")
    look = ("--target=main", "--container=looker", "--image-pull-policy=IfNotPresent")
    kube("debug", "quiet", f"--image={BUSYBOX}", *look, "--", "ps", "-o", "pid,args")
    kube.until("pods/quiet", lambda item: _ended(item, "looker"))
    assert "1 sleep 3333" in kube.logs("quiet", "--container=looker")
    assert "running" in container_status(kube.pod("quiet"))["state"]


def test_a_node_is_debugged_from_a_pod_on_it(kube: Kube, cluster: Cluster) -> None:
    kube("debug", "node/node1", f"--image={BUSYBOX}", "--image-pull-policy=IfNotPresent", "--", "ls", "/host")
    found = kube.until("pods", lambda pods: [p for p in pods["items"] if p["status"]["phase"] == "Succeeded"])
    assert {"etc", "var"} <= set(kube.logs(found["items"][0]["metadata"]["name"]).split())


def test_output_and_commands_go_on_when_the_server_has_been_killed(kube: Kube, cluster: Cluster) -> None:
    kube.apply(pod("talker", container("main", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.2; done")))
    kube.ready("talker")
    node = cluster.nodes[0]
    processes.stop(cluster, runtimes.name(node), how=signal.SIGKILL)
    time.sleep(2)
    runtimes.run(node)
    # The kubelet dials again after a while, and gives up following a log that it cannot ask about.
    kube.until("pods/talker", lambda _: kube.run("exec", "talker", "--", "true").returncode == 0)
    kube.until("pods/talker", lambda _: len(kube.logs("talker").split()) > 20)
    numbers = [int(line) for line in kube.logs("talker").split()]
    assert numbers == list(range(len(numbers)))


def _ended(item: dict, name: str) -> bool:  # type: ignore[type-arg]
    return "terminated" in container_status(item, name, "ephemeralContainerStatuses").get("state", {})


@contextlib.contextmanager
def _process(kube: Kube, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(kube.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def _terminal(kube: Kube, *arguments: str) -> Iterator[int]:
    """kubectl on a terminal of 24 lines and 80 columns; the terminal's other end."""
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "rows", "24", "cols", "80"], stdin=theirs, check=True)
    with subprocess.Popen(kube.command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            yield ours
        finally:
            process.terminate()
    os.close(ours)


def _read_until(terminal: int, mark: str, seconds: float = 30) -> str:
    said, until = "", time.monotonic() + seconds
    while mark not in said and select.select([terminal], [], [], max(0, until - time.monotonic()))[0]:
        with contextlib.suppress(OSError):
            said += os.read(terminal, 4096).decode(errors="replace")
    return said
