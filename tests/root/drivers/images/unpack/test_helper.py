"""The helper as the server starts it: answers, cancellations, a child's death, its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.images.unpack.protocol import COUNTER, PACKET
from criserver.drivers.images.unpacker import _HELPER
from tests.support.images import compress, digest, file, tar

REPOSITORY = Path(__file__).parents[5]


class Running:
    """A helper, and what the server would hold of it."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.counters = os.memfd_create("counters", 0)
        os.ftruncate(self.counters, 100)
        fds = (theirs.fileno(), self.counters)
        argv = [sys.executable, "-I", "-c", _HELPER, str(REPOSITORY), *map(str, fds)]
        self.process = subprocess.Popen(argv, pass_fds=fds, cwd="/")
        theirs.close()

    def ask(self, number: int, target: Path, data: bytes, blob: int | None = None) -> int:
        """Begin a layer; returns the blob's size."""
        target.mkdir()
        compressed = compress(data)
        if blob is None:
            blob = os.memfd_create("blob")
            os.write(blob, compressed)
            os.lseek(blob, 0, os.SEEK_SET)
        request = {"id": number, "slot": number, "target": str(target), "entries": 1000, "bytes": 1 << 30}
        request |= {"digest": digest(compressed), "diff_id": digest(data), "size": len(compressed)}
        socket.send_fds(self.socket, [json.dumps(request).encode()], [blob])
        os.close(blob)
        return len(compressed)

    def answer(self) -> tuple[int, dict[str, Any]]:
        """The next one."""
        number, _, text = self.socket.recv(PACKET).partition(b" ")
        return int(number), json.loads(text)

    def counter(self, number: int) -> int:
        """How far layer `number` is."""
        return int.from_bytes(os.pread(self.counters, COUNTER, number * COUNTER), sys.byteorder)

    def children(self) -> list[int]:
        """Its processes."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(path.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(path.parent.name))
        return found


@pytest.fixture
def helper() -> Iterator[Running]:
    running = Running()
    yield running
    running.socket.close()
    assert running.process.wait(10) == 0
    os.close(running.counters)


def test_layers_at_once_are_answered_each_and_counted(helper: Running, tmp_path: Path) -> None:
    sizes = {
        number: helper.ask(number, tmp_path / str(number), tar({"data": file(os.urandom(number * 300_000))}))
        for number in range(1, 6)
    }
    answers = dict(helper.answer() for _ in sizes)
    assert {number: answer["inodes"] for number, answer in answers.items()} == dict.fromkeys(sizes, 2)
    assert all(answers[number]["size"] >= number * 300_000 for number in sizes)
    assert {number: helper.counter(number) for number in sizes} == sizes


def test_an_error_is_of_one_layer_alone(helper: Running, tmp_path: Path) -> None:
    helper.ask(1, tmp_path / "bad", tar({"../x": file()}))
    number, answer = helper.answer()
    assert (number, answer["error"]) == (1, "INVALID_ARGUMENT")
    assert "'../x'" in answer["message"]
    helper.ask(2, tmp_path / "good", tar({"x": file()}))
    assert helper.answer()[1]["inodes"] == 2


@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_a_layer_whose_process_is_ended(helper: Running, tmp_path: Path, how: str) -> None:
    reader, writer = os.pipe()
    helper.ask(1, tmp_path / "slow", tar({"x": file()}), reader)
    eventually(helper.children)
    if how == "cancelled":
        helper.socket.send(b'{"cancel": 7}')
        helper.socket.send(b'{"cancel": 1}')
    else:
        os.kill(helper.children()[0], signal.SIGKILL)
    number, answer = helper.answer()
    assert (number, answer["error"]) == (1, "INTERNAL")
    assert "was killed" in answer["message"]
    assert helper.children() == []
    os.close(writer)


@pytest.mark.parametrize("how", ["hung up", "killed"])
def test_children_end_with_it(tmp_path: Path, how: str) -> None:
    running = Running()
    reader, writer = os.pipe()
    running.ask(1, tmp_path / "slow", tar({"x": file()}), reader)
    (child,) = eventually(running.children)
    if how == "killed":
        running.process.kill()
    running.socket.close()
    running.process.wait(10)
    assert eventually(lambda: not alive(child))
    os.close(writer)
    os.close(running.counters)


def eventually(fact: Any) -> Any:
    """The fact, once it holds; at most 10 s."""
    deadline = time.monotonic() + 10
    while not (held := fact()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return held


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
