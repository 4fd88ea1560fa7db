"""`python -m tests.bench.streams`: exec and port-forward beside containerd, with crictl as the client of both.

Servers take turns, so that what else the machine does hits both. Rates are MB/s, latencies ms; medians. Nothing is
asserted: figures of one machine in one hour are no test.
"""

from __future__ import annotations

import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from criserver.api.pb import api_pb2 as cri
from tests.bench.pods import Samples, start, stop
from tests.bench.servers import Server, containerd, containerd_server, criserver
from tests.support.crictl import binary

MEGABYTES = 1024
ROUNDS = 3
LATENCIES = 20
SECONDS = 60
WEB = "mkdir /www; truncate -s 1G /www/big; httpd -p 8080 -h /www"


class Streams:
    """One server, with a pod that serves a file of a gigabyte."""

    def __init__(self, server: Server) -> None:
        self.name = server.name
        self.crictl = [binary(), "--runtime-endpoint", f"unix://{server.base}/cri.sock", "--timeout", "60s"]
        self.server = server
        self.pod, self.container = start(server, Samples())
        web = cri.ExecSyncRequest(container_id=self.container, cmd=["sh", "-c", WEB], timeout=30)
        answer = server.stub.ExecSync(web)
        if answer.exit_code:
            raise SystemExit(f"{self.name}: {answer.stderr.decode()}")

    def stdout(self) -> float:
        """MB/s that a command writes."""
        command = ("dd", "if=/dev/zero", "bs=64k", f"count={MEGABYTES * 16}")
        return rate(lambda: self.exec(*command))

    def stdin(self) -> float:
        """MB/s that a command reads."""
        # Whether all of it came through is asked, since a server may be fast by dropping it.
        script = f"test $(dd bs=64k 2>/dev/null | tail -c +{MEGABYTES << 20} | wc -c) = 1"
        argv = [*self.crictl, "exec", "-i", self.container, "sh", "-c", script]
        with open(self.server.base / "zeros", "wb+") as zeros:
            zeros.truncate(MEGABYTES << 20)
            return rate(lambda: run(argv, zeros))

    def latency(self) -> float:
        """Milliseconds of `exec true`, crictl's own start among them."""
        began = time.perf_counter()
        self.exec("true")
        return (time.perf_counter() - began) * 1e3

    def forward(self) -> float:
        """MB/s out of a pod."""
        with self.port() as port, socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /big HTTP/1.0\r\n\r\n")
            return rate(lambda: drain(connection))

    def exec(self, *command: str) -> None:
        """Run crictl exec."""
        run([*self.crictl, "exec", self.container, *command], subprocess.DEVNULL)

    @contextmanager
    def port(self) -> Iterator[int]:
        """A local port that leads to the pod's 8080."""
        argv = [*self.crictl, "port-forward", self.pod, ":8080"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"127\.0\.0\.1:(\d+) ->", line):
                    yield int(found[1])
                    return
            raise SystemExit("crictl port-forward ended")
        finally:
            process.kill()
            process.communicate()


def run(argv: list[str], stdin: IO[bytes] | int) -> None:
    """Run a program that must succeed, its output thrown away. A wait with a time limit would poll every 50 ms."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=stdin, stdout=quiet, stderr=quiet) as process:
        watchdog = threading.Timer(SECONDS, process.kill)
        watchdog.start()
        code = process.wait()
        watchdog.cancel()
    if code:
        raise SystemExit(f"{' '.join(argv)} ended with {code}")


def rate(work: Callable[[], object]) -> float:
    """MB/s of work that moves MEGABYTES."""
    began = time.perf_counter()
    work()
    return MEGABYTES * 1.048576 / (time.perf_counter() - began)


def drain(connection: socket.socket) -> None:
    """Read to the end."""
    buffer = bytearray(1 << 20)
    while connection.recv_into(buffer):
        pass


def main() -> None:
    """Measure and print."""
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        for name in ("a", "b"):
            (base / name).mkdir()
        servers = [stack.enter_context(criserver(base / "a"))]
        if program := containerd():
            servers.append(stack.enter_context(containerd_server(base / "b", program)))
        streams = [Streams(server) for server in servers]
        for what, rounds in (("stdout", ROUNDS), ("stdin", ROUNDS), ("forward", ROUNDS), ("latency", LATENCIES)):
            figures: dict[str, list[float]] = {each.name: [] for each in streams}
            for _ in range(rounds):
                for each in streams:
                    figures[each.name].append(getattr(each, what)())
            medians = {name: statistics.median(values) for name, values in figures.items()}
            ours, *theirs = medians.values()
            ratio = f", ratio {ours / theirs[0]:.2f}" if theirs else ""
            print(what, {name: round(value, 1) for name, value in medians.items()}, ratio, flush=True)
        for each in streams:
            stop(each.server, Samples(), each.pod, each.container)


if __name__ == "__main__":
    main()
