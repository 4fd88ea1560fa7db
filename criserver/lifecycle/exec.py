"""ExecSync: one command in a running container, its output bounded, its time limited."""

from __future__ import annotations

import json

from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.lifecycle.powers import Powers
from criserver.model.container import ContainerState
from criserver.ports.monitor import ExecResult
from criserver.spec.process import exec_process
from criserver.state.containers import Containers

OUTPUT_LIMIT = 16 << 20  # bytes of each stream, as both peers have it (CVE-2022-1708)


class ExecService:
    """Commands inside containers."""

    def __init__(self, containers: Containers, powers: Powers) -> None:
        self._containers, self._powers = containers, powers

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout: float) -> ExecResult:
        """Run `command` to its end and return exit code and output, each stream up to OUTPUT_LIMIT bytes.

        `timeout` is in seconds, 0 for none: DeadlineExceeded after it, when all that it started is dead.
        """
        if not command:
            raise InvalidArgument("cmd: empty; name a program to run")
        row = self._containers.get(container_id)
        if row.state is not ContainerState.RUNNING:
            raise FailedPrecondition(f"container {row.id} is {row.state}: only in a running one can a command run")
        spec = await self._powers.bundles.read(row.id)
        process = exec_process(spec["process"], command, tty=False)
        handler = self._powers.runtime.handler(row.runtime_handler)
        return await self._powers.monitors.exec_sync(
            row.id, handler.command, json.dumps(process), timeout=timeout, limit=OUTPUT_LIMIT
        )
