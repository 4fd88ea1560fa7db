import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from criserver.cli.demo import programs, server
from criserver.cli.demo.terminal import Terminal
from criserver.config.schema import Config
from criserver.errors import FailedPrecondition

# What a server does as far as the demo sees it: logs, opens its socket after a while, ends at SIGTERM.
SCRIPT = """
import socket, sys, time
log = lambda text: print(f"2026-11-24T11:20:30.000000Z {text}", file=sys.stderr, flush=True)
log('INFO pod sandbox is ready rpc=RunPodSandbox took=5.0ms stages="pod init:1.5ms,network:3.5ms"')
log('WARNING "odd = odd" rpc=Status')
time.sleep(0.05)
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
for line in sys.stdin: log("INFO " + line.strip())
"""


@contextmanager
def started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str = SCRIPT
) -> Iterator[tuple[server.DemoServer, IO[bytes]]]:
    config = Config(listen=f"unix://{tmp_path}/s.sock")
    command = [sys.executable, "-c", script, config.socket_path]
    with programs.Child(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None
        monkeypatch.setattr(programs, "start_server", lambda _: child)
        demo = server.DemoServer(config, str(tmp_path))
        yield demo, child.stdin
        demo.stop()


def test_the_log_tells_stages_and_complaints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(tmp_path, monkeypatch) as (demo, _):
        demo.wait_until_it_answers()
        assert demo.stages("RunPodSandbox").replace("\N{NO-BREAK SPACE}", " ") == "pod init 1.5 ms · network 3.5 ms"
        assert demo.stages("CreateContainer") == ""
        assert demo.complaints() == ["warning: odd = odd"]
        assert demo.complaints() == []
        assert not demo.has_ended()
    assert demo.has_ended()


def test_a_followed_log_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    with started(tmp_path, monkeypatch) as (demo, stdin):
        demo.wait_until_it_answers()
        demo.follow_log(Terminal(out))
        stdin.write(b"hello\n")
        deadline = time.monotonic() + 10
        while "hello" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert out.getvalue() == "2026-11-24T11:20:30.000000Z INFO hello\n"


def test_a_server_that_ends_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(tmp_path, monkeypatch, "import sys; sys.exit('no runc')") as (demo, _):
        with pytest.raises(FailedPrecondition, match="ended at once:\nno runc"):
            demo.wait_until_it_answers()
