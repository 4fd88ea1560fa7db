"""The operator's calls about traces.

Trace {"pod": ID or NAME or NAMESPACE/NAME} answers {"pods": [{"pod", "sandbox_id", "operations": [...]}]}, operations
as observe/trace.py has them; one that runs has "took": null, and so have its stages that run.
Running {} answers {"operations": [...]}, those that run now, of whatever pod. Times are in seconds
after the operation's start, which is in nanoseconds since the epoch; "now" is the server's time.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from criserver.api.admin import Message, Method
from criserver.errors import InvalidArgument, NotFound
from criserver.lifecycle.reports.traces import Traces
from criserver.observe.trace import Trace
from criserver.state.sandboxes import Sandboxes


class TraceAdmin:
    """Traces by the operator's hand."""

    def __init__(self, traces: Traces, sandboxes: Sandboxes) -> None:
        self._traces, self._sandboxes = traces, sandboxes

    @property
    def methods(self) -> Mapping[str, Method]:
        """Trace and Running."""
        return {"Trace": self._trace, "Running": self._running}

    async def _trace(self, request: Message) -> Message:
        """Every operation that is known of the pod; NotFound without any."""
        pod = request.get("pod")
        if not isinstance(pod, str) or not pod:
            raise InvalidArgument("pod is missing: give a pod's id, the beginning of one, its name or namespace/name")
        found: dict[str, list[Trace]] = {}
        for trace in await self._traces.of(self._full(pod)):
            found.setdefault(trace.sandbox_id, []).append(trace)
        if not found:
            raise NotFound(f"nothing is known of a pod {pod!r}: give its id, its name or namespace/name")
        pods = [_pod(sandbox_id, traces) for sandbox_id, traces in found.items()]
        return {"pods": pods, "now": time.time_ns()}

    async def _running(self, _: Message) -> Message:
        return {"operations": [dataclasses.asdict(trace) for trace in self._traces.running()], "now": time.time_ns()}

    def _full(self, pod: str) -> str:
        """namespace/name of the pod that is called so; `pod` when none or several are."""
        named = {each.config.metadata for each in self._sandboxes if each.config.metadata.name == pod}
        names = {f"{meta.namespace}/{meta.name}" for meta in named}
        return names.pop() if len(names) == 1 else pod


def _pod(sandbox_id: str, traces: list[Trace]) -> dict[str, Any]:
    return {
        "pod": traces[0].pod,
        "sandbox_id": sandbox_id,
        "operations": [dataclasses.asdict(trace) for trace in traces],
    }
