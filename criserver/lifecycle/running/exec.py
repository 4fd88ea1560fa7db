"""ExecSync: one command in a running container, its output bounded, its time limited."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from criserver.errors import Ended, FailedPrecondition, InvalidArgument, RuntimeFailed
from criserver.lifecycle.powers import Powers
from criserver.model.container import ContainerState
from criserver.ports.monitor import ExecResult
from criserver.spec.process import exec_process
from criserver.state.containers import Containers

log = logging.getLogger(__name__)
# Bytes of both streams together (CVE-2022-1708): what a kubelet takes as one message, and a little for the rest of it.
OUTPUT_LIMIT = (16 << 20) - 1024
_CUT = b"\n[criserver: the output of this command was cut, no more than %d bytes of it are kept]\n" % OUTPUT_LIMIT


class ExecService:
    """Commands inside containers."""

    def __init__(self, containers: Containers, powers: Powers) -> None:
        self._containers, self._powers = containers, powers

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout: float) -> ExecResult:
        """Run `command` to its end and return exit code and output, both streams up to OUTPUT_LIMIT bytes; the end of
        stderr says when there was more.

        `timeout` is in seconds, 0 for none: DeadlineExceeded after it, when all that it started is dead.
        """
        if not command:
            raise InvalidArgument("cmd: empty; name a program to run")
        row = self._containers.get(container_id)
        if row.state is not ContainerState.RUNNING:
            kind = Ended if row.state is ContainerState.EXITED else FailedPrecondition
            raise kind(f"container {row.id} is {row.state}: only in a running one can a command run")
        spec = await self._powers.bundles.read(row.id)
        process = exec_process(spec["process"], command, tty=False)
        handler = self._powers.runtime.handler(row.runtime_handler)
        try:
            result = await self._powers.monitors.exec_sync(
                row.id, handler.command, json.dumps(process), timeout=timeout, limit=OUTPUT_LIMIT
            )
        except RuntimeFailed as error:
            if (await self._powers.monitors.observe(row.id)).pid:
                raise
            raise Ended(f"container {row.id} has ended meanwhile: {error}") from error
        result = fitted(result, OUTPUT_LIMIT - len(_CUT))
        if not result.truncated:
            return result
        log.warning("the output of a command was cut to %d bytes", OUTPUT_LIMIT, extra={"container_id": row.id})
        return replace(result, stderr=result.stderr + _CUT)


def fitted(result: ExecResult, limit: int) -> ExecResult:
    """The result with as much output as fits: the longer stream is cut, both when both are longer than half."""
    if len(result.stdout) + len(result.stderr) <= limit:
        return result
    stderr = result.stderr[: max(limit // 2, limit - len(result.stdout))]
    return replace(result, stdout=result.stdout[: limit - len(stderr)], stderr=stderr, truncated=True)
