"""Operations as they run and as they ran: what `criserver trace` tells, what is counted and exported of them.

Keeping a trace never fails or delays the operation: it is written beside it, after its end. A stage that takes far
longer than usual is logged, and so is an operation that does not come to its end; the caller's log context names pod
and container.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from criserver.lifecycle.tasks import Tasks
from criserver.model.container import Container
from criserver.model.sandbox import Sandbox
from criserver.observe.metrics import Metrics
from criserver.observe.timings import Stages
from criserver.observe.trace import Trace, Usual, traceparent
from criserver.state.traces import Traces as TraceRows

log = logging.getLogger(__name__)
HANGS_SECONDS = 15.0
"""After so long, and each time that it has doubled, an operation that still runs is logged."""
Export = Callable[[Trace], None]


@dataclass(slots=True)
class _Running:
    trace: Trace
    stages: Stages
    timer: asyncio.TimerHandle | None = None


class Traces:
    """The registry of running operations, and the way to those that have ended."""

    def __init__(self, rows: TraceRows, tasks: Tasks, metrics: Metrics, export: Export | None = None) -> None:
        """`export` gets each trace at its end; it must neither fail nor wait."""
        self._rows, self._tasks, self._metrics, self._export = rows, tasks, metrics, export
        self._running: list[_Running] = []
        self._usual = Usual()

    @contextmanager
    def operation(self, name: str, sandbox: Sandbox, container: Container | None = None) -> Iterator[Stages]:
        """Trace the block as operation `name` on the sandbox, or on a container in it."""
        meta = sandbox.config.metadata
        trace = Trace(name, f"{meta.namespace}/{meta.name}", sandbox.id, time.time_ns(), parent=traceparent.get())
        if container is not None:
            trace = replace(trace, container=container.config.metadata.name, container_id=container.id)
        running = _Running(trace, Stages(name))
        self._running.append(running)
        self._remind(running, HANGS_SECONDS)
        error = ""
        try:
            yield running.stages
        except BaseException as failure:
            error = str(failure) or type(failure).__name__
            raise
        finally:
            self._running.remove(running)
            if running.timer is not None:
                running.timer.cancel()
            self._ended(running, error)

    async def of(self, pod: str) -> tuple[Trace, ...]:
        """Traces of the pod with that id, beginning of an id, or namespace/name; those that run come last."""
        return (*await self._rows.of(pod), *(each for each in self.running() if _is(each, pod)))

    def running(self) -> tuple[Trace, ...]:
        """Operations that run now, oldest first: `took` is None of them, and of their stages that run."""
        return tuple(replace(each.trace, stages=each.stages.stages) for each in self._running)

    def _ended(self, running: _Running, error: str) -> None:
        stages = running.stages
        trace = replace(running.trace, took=stages.elapsed, error=error, stages=stages.stages)
        self._metrics.operations.ended(stages, failed=bool(error))
        self._tell_slow(trace)
        if self._export is not None:
            self._export(trace)
        self._tasks.spawn(self._rows.add(trace), name=f"trace of {trace.pod}")

    def _tell_slow(self, trace: Trace) -> None:
        for stage in trace.stages:
            taken = stage.duration or 0.0
            if (usual := self._usual.slow(trace.operation, stage.name, taken)) is not None:
                self._metrics.operations.slow(trace.operation, stage.name)
                times = {"took": f"{taken * 1000:.0f}ms", "usual": f"{usual * 1000:.0f}ms"}
                log.warning("slow stage: %s of %s", stage.name, trace.operation, extra=times)

    def _remind(self, running: _Running, seconds: float) -> None:
        def remind() -> None:
            since = {"since": f"{running.stages.elapsed:.0f}s"}
            log.warning("%s still runs, in stage %s", running.trace.operation, running.stages.running, extra=since)
            self._remind(running, seconds * 2)

        later = seconds - running.stages.elapsed
        running.timer = asyncio.get_running_loop().call_later(max(later, 1.0), remind)


def _is(trace: Trace, pod: str) -> bool:
    return trace.pod == pod or trace.sandbox_id.startswith(pod)
