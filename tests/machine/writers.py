"""Pods that write a numbered line every 100 ms, over whole runs of pytest: what interrupts one is seen in its log.

They are found again by their names, so a step that failed can be tried again on the machine as it is.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from criserver.api.pb import api_pb2 as pb
from tests.machine.conftest import SECONDS, run
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.images import busybox_tree, image, write_archive
from tests.support.server import Client

PODS = 20
NAMES = [f"writer{number}" for number in range(PODS)]
IMAGE = "localhost/writer:latest"
LOGS = Path("/var/log/pods")
# Reading a FIFO that nobody writes to waits without a fork: 20 shells that start `sleep` keep an emulated machine busy.
WRITE = "mkfifo /tmp/never; exec 3<>/tmp/never; n=0; while :; do echo line $n; n=$((n+1)); read -t 0.1 -u 3 x; done"
_LINE = re.compile(r"^\S+ stdout F line (\d+)\n", re.MULTILINE)


@dataclass
class Writer:
    """One container; what its log held when it was looked at last."""

    container: str
    started_at: int
    log: Path
    lines: int = 0
    _offset: int = field(default=0, repr=False)

    def read(self) -> None:
        """Go on through the log; every line has the number that follows."""
        with open(self.log, encoding="ascii") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]  # the last one may be on its way
        numbers = [int(number) for number in _LINE.findall(whole)]
        assert len(numbers) == whole.count("\n"), f"{self.log}: a line that nobody wrote"
        expected = list(range(self.lines, self.lines + len(numbers)))
        wrong = next(((want, got) for want, got in zip(expected, numbers, strict=True) if want != got), None)
        assert wrong is None, f"{self.log}: line {wrong[0]} is missing, there is {wrong[1]}"
        self._offset += len(whole)
        self.lines += len(numbers)


class Writers:
    """All of them, on the server that `client` asks."""

    def __init__(self, client: Client) -> None:
        self._client = client
        found = self._found()
        found |= self._made([name for name in NAMES if name not in found])
        self.all = [self._writer(found[name]) for name in NAMES]

    def check(self) -> int:
        """Each runs, for the first time, writes, and has lost no line; how many there are."""
        for writer in self.all:
            status = cri.status(self._client, writer.container)
            assert status.state == pb.CONTAINER_RUNNING, status
            assert (status.metadata.attempt, status.started_at) == (0, writer.started_at)
            before = writer.lines
            writer.read()
            assert writer.lines > before, f"{writer.log}: nothing was written"
        assert len(cri.pods(self._client)) == len(cri.containers(self._client)) == PODS
        return sum(writer.lines for writer in self.all)

    def _found(self) -> dict[str, str]:
        """Containers by the names of their pods; a pod that was not finished goes."""
        listed = cri.containers(self._client)
        containers = {each.pod_sandbox_id: each.id for each in listed if each.state == pb.CONTAINER_RUNNING}
        found = {}
        for pod in cri.pods(self._client):
            if pod.id in containers:
                found[pod.metadata.name] = containers[pod.id]
            else:
                cri.remove_pod(self._client, pod.id)
        return found

    def _made(self, names: Sequence[str]) -> dict[str, str]:
        archive = LOGS.parent / "writer.tar"
        if not archive.exists():
            write_archive(archive, {IMAGE: image(busybox_tree(), config={"Cmd": ["sh"]})})
            run("criserver", "load", archive)
        return {name: self._start(name) for name in names}

    def _start(self, name: str) -> str:
        logs = LOGS / name
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)
        pod = pod_config(name, logs)
        config = container_config("c", "sh", "-c", WRITE, image=IMAGE)
        pod_id = cri.run(self._client, pod, timeout=SECONDS)
        container = cri.create(self._client, pod_id, config, pod, timeout=SECONDS)
        cri.start(self._client, container)
        return container

    def _writer(self, container: str) -> Writer:
        status = cri.status(self._client, container)
        return Writer(container, status.started_at, Path(status.log_path))
