"""Exec, attach and port-forward with crictl, the peers' own client, against a running server."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cri import BUSYBOX
from tests.support.crictl import Crictl, container, pod
from tests.support.server import Server

SECONDS = 60.0
TRANSPORTS = ["spdy", "websocket"]


@pytest.fixture(scope="module", autouse=True)
def image(crictl: Crictl) -> None:
    crictl("pull", BUSYBOX)


@dataclass(frozen=True)
class Pods:
    """Starts pods of one container."""

    crictl: Crictl
    base: Path
    made: list[str]

    def start(self, name: str, *command: str, linux: dict[str, Any] | None = None, **more: Any) -> tuple[str, str]:
        """Ids of a pod and its container."""
        logs = self.base / f"streaming-{name}"
        logs.mkdir()
        config = pod(f"streaming-{name}", logs)
        wish = container(name, *command, image=BUSYBOX, **more)
        config["linux"] = wish["linux"] = linux or {}
        pod_id = self.crictl.runp(config)
        self.made.append(pod_id)
        container_id = self.crictl.create(pod_id, wish, config)
        self.crictl("start", container_id)
        return pod_id, container_id


@pytest.fixture(scope="module")
def pods(crictl: Crictl, base: Path) -> Iterator[Pods]:
    made = Pods(crictl, base, [])
    yield made
    for pod_id in made.made:
        crictl("rmp", "-f", pod_id)


@pytest.fixture(scope="module")
def running(pods: Pods) -> str:
    """A container that runs until the module is done."""
    return pods.start("sleeps", "sleep", "1000")[1]


@contextlib.contextmanager
def client(crictl: Crictl, *arguments: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """crictl as a process with pipes, dead at the end."""
    process = subprocess.Popen(
        [*crictl.argv, *arguments],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


class Terminal:
    """crictl on a terminal of its own."""

    def __init__(self, crictl: Crictl, *arguments: str, columns: int = 91, rows: int = 17) -> None:
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [*crictl.argv, *arguments], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with contextlib.suppress(AttributeError):
            os.killpg(self.process.pid, 28)  # SIGWINCH: the terminal is not the session's own

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, pattern: str) -> str:
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"{pattern!r} not in {self.seen!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 4096).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found[0]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_exec_without_terminal(crictl: Crictl, running: str, transport: str) -> None:
    done = crictl.run("exec", "--transport", transport, running, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert done.stdout == "out\n"
    assert done.stderr.startswith("err\n")
    assert done.returncode == 3 or "exit code 3" in done.stderr
    assert crictl.run("exec", "--transport", transport, running, "true").returncode == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_exec_tells_why_there_is_no_process(crictl: Crictl, running: str, transport: str) -> None:
    assert "no-such-program" in crictl.refused("exec", "--transport", transport, running, "no-such-program")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_hundred_megabytes_there_and_back(crictl: Crictl, running: str, transport: str) -> None:
    block = os.urandom(1 << 20)
    sent, received = hashlib.sha256(), hashlib.sha256()

    def feed(pipe: Any) -> None:
        for number in range(100):
            piece = block[number:] + block[:number]
            sent.update(piece)
            pipe.write(piece)
        pipe.close()

    # Half-close of stdin before v5 is SPDY's alone; the WebSocket client of crictl speaks v5.
    with client(crictl, "exec", "-i", "--transport", transport, running, "cat") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = threading.Thread(target=feed, args=(process.stdin,))
        feeding.start()
        while data := process.stdout.read(1 << 16):
            received.update(data)
        feeding.join()
        process.stdin = None
        assert process.wait(SECONDS) == 0
    assert sent.digest() == received.digest()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_terminal_follows_the_clients_size(crictl: Crictl, running: str, transport: str) -> None:
    terminal = Terminal(crictl, "exec", "-it", "--transport", transport, running, "sh")
    try:
        terminal.wait_for("[$#] ")
        terminal.type("stty size; tty\n")
        assert terminal.wait_for(r"\d+ \d+\r\n") == "17 91\r\n"
        terminal.wait_for("/dev/pts/")
        terminal.resize(120, 40)
        deadline = time.monotonic() + SECONDS
        while True:
            terminal.type("stty size\n")
            if terminal.wait_for(r"\d+ \d+\r\n") == "40 120\r\n":
                break
            assert time.monotonic() < deadline
        terminal.type("exit 0\n")
        assert terminal.process.wait(SECONDS) == 0
    finally:
        terminal.close()


@pytest.mark.parametrize("flags", [["-i"], ["-i", "-t"]], ids=["pipes", "terminal"])
def test_a_client_that_vanishes_ends_its_exec(crictl: Crictl, running: str, server: Server, flags: list[str]) -> None:
    mark = f"19{len(flags)}7"
    command = f"setsid sleep {mark} & sleep {mark}"

    def there() -> int:
        return crictl("exec", "-s", running, "ps").count(f"sleep {mark}")

    if "-t" in flags:
        terminal = Terminal(crictl, "exec", *flags, running, "sh", "-c", command)
        wait_until(lambda: there() == 2, "the exec to run")
        terminal.close()
    else:
        with client(crictl, "exec", *flags, running, "sh", "-c", command):
            wait_until(lambda: there() == 2, "the exec to run")
    wait_until(lambda: there() == 0, "the exec to end")
    monitor = server.state / "containers" / running / "monitor"
    wait_until(lambda: not list(monitor.glob("exec-*")), "its directory to go")


def test_a_child_in_the_background_does_not_hold_the_answer(crictl: Crictl, running: str) -> None:
    began = time.monotonic()
    assert crictl("exec", running, "sh", "-c", "sleep 33 & echo done") == "done"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("pid", [1, 0], ids=["own-pids", "shared-pids"])
def test_the_containers_end_ends_its_streams(crictl: Crictl, pods: Pods, pid: int) -> None:
    linux = {"security_context": {"namespace_options": {"pid": pid}}}
    _, container_id = pods.start(f"ends-{pid}", "sleep", "4", linux=linux)
    with client(crictl, "attach", container_id) as attached, client(crictl, "exec", container_id, "sleep", "77") as run:
        assert attached.wait(SECONDS) == 0
        assert run.wait(SECONDS) != 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_three_clients_attached_at_once(crictl: Crictl, pods: Pods, transport: str) -> None:
    command = "while read line; do echo got $line; [ $line = end ] && exit 0; done"
    _, container_id = pods.start(f"attached-{transport}", "sh", "-c", command, stdin=True)
    arguments = ("attach", "-i", "--transport", transport, container_id)
    with client(crictl, *arguments) as one, client(crictl, *arguments) as two, client(crictl, *arguments) as three:
        clients = (one, two, three)
        seen = [b"", b"", b""]

        def read(number: int) -> None:
            stream = clients[number].stdout
            assert stream is not None
            while data := os.read(stream.fileno(), 4096):
                seen[number] += data

        readers = [threading.Thread(target=read, args=(number,)) for number in range(3)]
        for reader in readers:
            reader.start()
        for number, each in enumerate(clients):
            assert each.stdin is not None

            # Until everybody is attached, some see a line and some do not: asked again until all have.
            def says(stream: Any = each.stdin, number: int = number) -> bool:
                stream.write(b"hello%d\n" % number)
                stream.flush()
                time.sleep(0.2)
                return all(b"got hello%d\n" % number in text for text in seen)

            wait_until(says, f"the line of client {number}")
        assert one.stdin is not None
        one.stdin.write(b"end\n")
        one.stdin.flush()
        for each, reader in zip(clients, readers, strict=True):
            assert each.wait(SECONDS) == 0
            reader.join()
        assert all(text.endswith(b"got end\n") for text in seen)


def test_attached_first_byte(crictl: Crictl, pods: Pods) -> None:
    command = "echo first; cat; echo last"
    _, container_id = pods.start("run-i", "sh", "-c", command, stdin=True, stdin_once=True)
    with client(crictl, "attach", "-i", container_id) as attached:
        out, _ = attached.communicate(b"middle\n", SECONDS)
    assert out == b"first\nmiddle\nlast\n"


def test_an_attached_client_that_does_not_read_holds_nothing_up(crictl: Crictl, pods: Pods) -> None:
    command = "read x; dd if=/dev/zero bs=64k count=1600 2>/dev/null; touch /done; sleep 1000"
    _, container_id = pods.start("flood", "sh", "-c", command, stdin=True)
    with client(crictl, "attach", "-i", container_id) as attached:
        assert attached.stdin is not None
        attached.stdin.write(b"go\n")
        attached.stdin.flush()
        wait_until(lambda: "/done" in crictl("exec", "-s", container_id, "sh", "-c", "ls /done || true"), "the flood")
        assert attached.poll() is None or attached.returncode != 0


def test_terminal_attached(crictl: Crictl, pods: Pods) -> None:
    _, container_id = pods.start("tty", "sh", stdin=True, tty=True)
    terminal = Terminal(crictl, "attach", "-it", container_id, columns=77, rows=33)
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            terminal.type("stty size\n")
            if terminal.wait_for(r"\d+ \d+\r\n") == "33 77\r\n":
                break
            assert time.monotonic() < deadline
    finally:
        terminal.close()
    assert "CONTAINER_RUNNING" in crictl("inspect", container_id)


def test_refusals(crictl: Crictl, pods: Pods, running: str) -> None:
    _, ended = pods.start("ended", "true")
    wait_until(lambda: "CONTAINER_EXITED" in crictl("inspect", ended), "the container to end")
    assert "only a running one has streams" in crictl.refused("exec", ended, "true")
    assert "only a running one has streams" in crictl.refused("attach", ended)
    assert "does not exist" in crictl.refused("port-forward", "f" * 64, "80")


@contextlib.contextmanager
def forwarded(crictl: Crictl, pod_id: str, port: int, transport: str) -> Iterator[int]:
    """A local port that leads into the pod."""
    with all_forwarded(crictl, pod_id, transport, port) as ports:
        yield ports[port]


@contextlib.contextmanager
def all_forwarded(crictl: Crictl, pod_id: str, transport: str, *ports: int) -> Iterator[dict[int, int]]:
    """Local ports by those of the pod that they lead to, all over one connection."""
    wanted = [f":{port}" for port in ports]
    argv = ("port-forward", "--transport", transport, pod_id, *wanted)
    with client(crictl, *argv, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        found: dict[int, int] = {}
        while len(found) < len(ports):
            line = process.stdout.readline().decode()
            assert line, found
            found |= {int(there): int(here) for here, there in re.findall(r"127\.0\.0\.1:(\d+) -> (\d+)", line)}
        yield found


def fetch(port: int, path: str) -> tuple[int, str]:
    """Size and digest of what HTTP gives."""
    digest, size = hashlib.sha256(), 0
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            while answer.readline() not in (b"\r\n", b""):
                pass
            while data := answer.read(1 << 18):
                digest.update(data)
                size += len(data)
    return size, digest.hexdigest()


#: Beside the web server, what takes connections and reads nothing.
DEAF = "for port in 8081 8082; do nc -l -p $port -e sleep 1000 & done"
WEB = f"mkdir /www; echo hello >/www/index.html; truncate -s 1G /www/big; {DEAF}; exec httpd -f -p 8080 -h /www"


@pytest.fixture(scope="module")
def web(pods: Pods) -> str:
    """A pod with a web server."""
    return pods.start("web", "sh", "-c", WEB)[0]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_fifty_requests_at_once(crictl: Crictl, web: str, transport: str) -> None:
    with forwarded(crictl, web, 8080, transport) as port, ThreadPoolExecutor(50) as many:
        answers = list(many.map(lambda _: fetch(port, "/index.html"), range(50)))
    assert set(answers) == {(6, hashlib.sha256(b"hello\n").hexdigest())}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_fifty_requests_beside_one_that_is_not_read(crictl: Crictl, web: str, transport: str) -> None:
    deaf = {"spdy": 8081, "websocket": 8082}[transport]
    with all_forwarded(crictl, web, transport, 8080, deaf) as ports, ThreadPoolExecutor(50) as many:
        with socket.create_connection(("127.0.0.1", ports[deaf]), SECONDS) as stalled:
            stalled.sendall(bytes(2_000_000))
            answers = list(many.map(lambda _: fetch(ports[8080], "/index.html"), range(50)))
    assert set(answers) == {(6, hashlib.sha256(b"hello\n").hexdigest())}


@pytest.mark.slow
def test_a_gigabyte(crictl: Crictl, web: str) -> None:
    expected = hashlib.sha256()
    for _ in range(1024):
        expected.update(bytes(1 << 20))
    with forwarded(crictl, web, 8080, "spdy") as port:
        assert fetch(port, "/big") == (1 << 30, expected.hexdigest())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_refused_connection_is_told(crictl: Crictl, web: str, transport: str) -> None:
    with client(crictl, "port-forward", "--transport", transport, web, ":81", stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        said = ""
        while "->" not in said:
            said += process.stdout.readline().decode()
        port = int(re.findall(r"127\.0\.0\.1:(\d+) ->", said)[0])
        with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
            assert connection.recv(1) == b""
        while "refused" not in said:
            line = process.stdout.readline().decode()
            assert line, said
            said += line
    assert "cannot connect to port 81: 127.0.0.1: Connection refused; ::1: Connection refused" in said


def test_host_network_and_ipv6(crictl: Crictl, pods: Pods) -> None:
    host = {"security_context": {"namespace_options": {"network": 2}}}
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        pod_id, _ = pods.start("host", "sleep", "1000", linux=host)
        with forwarded(crictl, pod_id, port, "spdy") as local:
            with socket.create_connection(("127.0.0.1", local), SECONDS) as connection:
                listener.settimeout(SECONDS)
                accepted, _ = listener.accept()
                with accepted:
                    connection.sendall(b"question")
                    connection.shutdown(socket.SHUT_WR)
                    assert accepted.recv(100) == b"question"
                    accepted.sendall(b"answer")
                    accepted.close()
                    assert connection.recv(100) == b"answer"
