"""Exec, attach and port-forward: who may, and what is then opened. How streams travel is `streaming`'s.

A request is admitted when its URL is asked for, and opened when a client comes with it, perhaps much later: what must
be true for it is looked at both times.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TypeAlias

from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.lifecycle.powers import Powers
from criserver.model.container import Container, ContainerState
from criserver.model.sandbox import SandboxState
from criserver.ports.streams import Attachment, Process, Stdio, Streams, Wanted
from criserver.spec.process import exec_process
from criserver.state.containers import Containers
from criserver.state.sandboxes import Sandboxes


@dataclass(frozen=True, slots=True)
class Exec:
    """A command in a container."""

    container_id: str
    command: tuple[str, ...]
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Attach:
    """The streams of a container's own process."""

    container_id: str
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Forward:
    """TCP ports of a pod; which, the client says as it connects, or here (WebSocket without SPDY)."""

    sandbox_id: str
    ports: tuple[int, ...] = ()


StreamRequest: TypeAlias = Exec | Attach | Forward


class StreamService:
    """Admits requests, and opens what they ask for."""

    def __init__(self, sandboxes: Sandboxes, containers: Containers, powers: Powers, streams: Streams) -> None:
        self._sandboxes, self._containers = sandboxes, containers
        self._powers, self._streams = powers, streams

    def admit(self, request: StreamRequest) -> StreamRequest:
        """The request with its id in full. InvalidArgument and FailedPrecondition say why it cannot be served."""
        if isinstance(request, Forward):
            return replace(request, sandbox_id=self._ready(request.sandbox_id))
        _check(request.wanted)
        if isinstance(request, Exec) and not request.command:
            raise InvalidArgument("cmd: empty; name a program to run")
        return replace(request, container_id=self._running(request.container_id).id)

    async def exec(self, request: Exec) -> tuple[Process, Stdio]:
        """Start the command. RuntimeFailed carries the runtime's words."""
        row = self._running(request.container_id)
        spec = await self._powers.bundles.read(row.id)
        process = exec_process(spec["process"], request.command, tty=request.wanted.tty)
        handler = self._powers.runtime.handler(row.runtime_handler)
        return await self._streams.exec(row.id, handler.command, json.dumps(process), request.wanted)

    async def attach(self, request: Attach) -> Attachment:
        """Attach; FailedPrecondition when the container has ended meanwhile."""
        return await self._streams.attach(self._running(request.container_id).id, request.wanted)

    async def runs(self, container_id: str) -> bool:
        """Whether a container runs at this moment."""
        return not (await self._powers.monitors.observe(container_id)).exited

    async def ended(self, container_id: str) -> None:
        """Wait for a container's end."""
        await self._powers.monitors.exited(container_id)

    async def connect(self, sandbox_id: str, port: int) -> int:
        """A connected socket to a port of the pod; the caller's to close. Unavailable says why there is none."""
        sandbox = self._sandboxes.get(self._ready(sandbox_id))
        netns = "" if sandbox.config.host_network else self._powers.namespaces.path(sandbox.id, "net")
        return await self._streams.connect(netns, port)

    def _running(self, container_id: str) -> Container:
        row = self._containers.get(container_id)
        if row.state is not ContainerState.RUNNING:
            raise FailedPrecondition(f"container {row.id} is {row.state}: only a running one has streams")
        return row

    def _ready(self, sandbox_id: str) -> str:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox.state is not SandboxState.READY:
            raise FailedPrecondition(f"pod sandbox {sandbox.id} is {sandbox.state}: only a ready one takes connections")
        return sandbox.id


def _check(wanted: Wanted) -> None:
    if wanted.tty and wanted.stderr:
        raise InvalidArgument("tty and stderr: a terminal has one output; ask for stdout alone")
    if not (wanted.stdin or wanted.stdout or wanted.stderr):
        raise InvalidArgument("stdin, stdout, stderr: none is asked for; ask for one at least")
