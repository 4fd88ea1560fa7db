"""The server that the demo starts: a child process, its log, and its end."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import deque

from criserver.cli.demo import programs
from criserver.cli.demo.terminal import Terminal
from criserver.config import dump
from criserver.config.schema import Config
from criserver.errors import FailedPrecondition
from criserver.observe import lines

START_SECONDS = 30.0
STOP_SECONDS = 30.0
LOUD = frozenset({"WARNING", "ERROR", "CRITICAL"})


def answers(config: Config) -> bool:
    """Whether somebody listens on the configured socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(config.socket_path)
        except OSError:
            return False
    return True


class DemoServer:
    """`criserver serve` as a child."""

    def __init__(self, config: Config, directory: str) -> None:
        """Start it with exactly `config`, written to a file in `directory`."""
        self._config = config
        path = os.path.join(directory, "config.yaml")
        with open(path, "w") as file:
            file.write(dump.effective(config))
        self._process = programs.start_server(path)
        self.pid = self._process.pid
        self._log = _Log(self._process)

    def wait_until_it_answers(self) -> None:
        """Return once the socket is open; FailedPrecondition with the server's last words when it never is."""
        deadline = time.monotonic() + START_SECONDS
        while not answers(self._config):
            if self._process.poll() is not None:
                raise FailedPrecondition("the server ended at once:\n" + "\n".join(self._log.last(ended=True)))
            if time.monotonic() > deadline:
                raise FailedPrecondition(f"the server did not answer within {START_SECONDS:.0f} s")
            time.sleep(0.01)

    def stages(self, rpc: str) -> str:
        """The stages that the log tells of the last call of `rpc`, such as "namespaces 3.1 ms · network 49.0 ms".

        Spaces within a stage are such as no line is broken at.
        """
        deadline = time.monotonic() + 0.5  # the answer can overtake the line
        while not (found := self._log.stages.get(rpc, "")) and time.monotonic() < deadline:
            time.sleep(0.005)
        parts = [part.replace(":", " ").replace("ms", " ms") for part in found.split(",") if part]
        return " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)

    def follow_log(self, terminal: Terminal | None) -> None:
        """From now on show each line of the log; with None, no longer."""
        self._log.terminal = terminal

    def complaints(self) -> list[str]:
        """Messages of warnings and errors since the last call."""
        return self._log.take_complaints()

    def has_ended(self) -> bool:
        """Whether the server is gone without having been told to."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Tell it to stop and wait for it; kill it if it does not."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except programs.Timeout:
            self._process.kill()
            self._process.wait()
        self._log.last(ended=True)


class _Log:
    """Reads the server's standard error in a thread, so that it never fills, and keeps what the demo tells of."""

    def __init__(self, process: programs.Child) -> None:
        assert process.stderr is not None
        self._pipe = process.stderr
        self._last: deque[str] = deque(maxlen=20)
        self._complaints: list[str] = []
        self.stages: dict[str, str] = {}
        self.terminal: Terminal | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def last(self, *, ended: bool) -> list[str]:
        """The last lines; with `ended`, all that came until the end."""
        if ended:
            self._thread.join(2)
        return list(self._last)

    def take_complaints(self) -> list[str]:
        taken, self._complaints = self._complaints, []
        return taken

    def _run(self) -> None:
        for raw in self._pipe:
            text = raw.decode(errors="replace").rstrip("\n")
            self._last.append(text)
            line = lines.parse(text)
            if line and "stages" in line.fields:
                self.stages[line.fields.get("rpc", "")] = line.fields["stages"]
            if self.terminal is not None:
                self.terminal.dim(text)
            elif line and line.level in LOUD:
                self._complaints.append(f"{line.level.lower()}: {line.message}")
        self._pipe.close()
