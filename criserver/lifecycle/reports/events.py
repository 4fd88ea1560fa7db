"""What happens to pods and containers, told to whoever listens: a small bus between rows and GetContainerEvents.

Events are made of commits: a row's state before and after says what happened. So what is told is durable, comes in the
order of commits, and carries the pod exactly as that commit left it. Nobody waits for a listener. One that does not
keep up is cut off: it can listen again and ask for the lists, while a gap would deceive it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from criserver.errors import ResourceExhausted
from criserver.model.container import Container, ContainerState
from criserver.model.sandbox import Sandbox, SandboxState
from criserver.observe.metrics import Metrics
from criserver.ports.clock import Clock
from criserver.state.containers import Containers
from criserver.state.sandboxes import Sandboxes

BACKLOG = 4096
"""Events that wait for one listener: more than 200 pods of five containers make when all of them end at once."""


class EventType(StrEnum):
    """CRI ContainerEventType."""

    CREATED = "CREATED"
    STARTED = "STARTED"
    STOPPED = "STOPPED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Event:
    """One change; `subject` is the id of the container or sandbox. `created_at` (ns) grows from event to event.

    `sandbox` is None once it is removed; `containers` are all of the pod that are left.
    """

    subject: str
    type: EventType
    created_at: int
    sandbox: Sandbox | None
    containers: tuple[Container, ...]


class Subscription:
    """One listener's events, oldest first."""

    def __init__(self, backlog: int) -> None:
        self._backlog = backlog
        self._waiting: deque[Event] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self.lost = 0

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        """The next event; ResourceExhausted when the listener has been cut off for not keeping up."""
        while not self._waiting:
            if self.lost:
                raise ResourceExhausted(
                    f"this listener was {self._backlog} events behind and is cut off: listen again, then ask for lists"
                )
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def put(self, event: Event) -> bool:
        """Add an event; False when it is lost, since the listener does not keep up."""
        if not self.lost and len(self._waiting) < self._backlog:
            self._waiting.append(event)
        else:
            self._waiting.clear()
            self.lost += 1
        self._news.set()
        return not self.lost

    def end(self) -> None:
        """Let the listener take what waits and then find the end."""
        self._ended = True
        self._news.set()


def container_events(old: ContainerState | None, new: ContainerState | None) -> tuple[EventType, ...]:
    """What a container's change of state means; None stands for no row."""
    if old is new:
        return ()
    if new is None:
        return () if old is ContainerState.CREATING else (EventType.DELETED,)
    if new is ContainerState.RUNNING and old is ContainerState.UNKNOWN:
        return ()  # it ran all the time
    told = {
        ContainerState.CREATED: EventType.CREATED,
        ContainerState.RUNNING: EventType.STARTED,
        ContainerState.EXITED: EventType.STOPPED,
    }
    return (told[new],) if new in told else ()


def sandbox_events(old: SandboxState | None, new: SandboxState | None) -> tuple[EventType, ...]:
    """What a sandbox's change of state means. One that is ready has been made and runs, at once."""
    if old is new:
        return ()
    if new is None:
        return () if old is SandboxState.CREATING else (EventType.DELETED,)
    if new is SandboxState.READY:
        return (EventType.CREATED, EventType.STARTED)
    return (EventType.STOPPED,) if new is SandboxState.NOTREADY else ()


class Events:
    """The bus. `dropped` counts events that a listener did not get."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        clock: Clock,
        metrics: Metrics,
        *,
        backlog: int = BACKLOG,
    ) -> None:
        """Watches both repositories from now on; made in the event loop that listeners run in."""
        self._sandboxes, self._containers, self._clock, self._backlog = sandboxes, containers, clock, backlog
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._listeners: set[Subscription] = set()
        self._last = 0
        self._closed = False
        self.dropped = 0
        sandboxes.watch(self._sandbox)
        containers.watch(self._container)

    @contextmanager
    def listen(self) -> Iterator[Subscription]:
        """Listen within the block: to all that is committed from now on."""
        listener = Subscription(self._backlog)
        self._listeners.add(listener)
        if self._closed:
            listener.end()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def close(self) -> None:
        """End every listener's stream, those that come later too: the server stops."""
        self._closed = True
        for listener in self._listeners:
            listener.end()

    def _container(self, old: Container | None, new: Container | None) -> None:
        if row := new or old:
            for type_ in container_events(old.state if old else None, new.state if new else None):
                self._publish(type_, row.sandbox_id, row.id)

    def _sandbox(self, old: Sandbox | None, new: Sandbox | None) -> None:
        if row := new or old:
            for type_ in sandbox_events(old.state if old else None, new.state if new else None):
                self._publish(type_, row.id, row.id)

    def _publish(self, type_: EventType, sandbox_id: str, subject: str) -> None:
        """In the writer thread, where the rows stand still."""
        if not self._listeners or self._closed:
            return
        self._last = max(self._clock.now(), self._last + 1)  # the wall clock may be set back
        rows = [row for row in self._containers.of(sandbox_id) if row.state is not ContainerState.CREATING]
        event = Event(subject, type_, self._last, self._sandboxes.find(sandbox_id), tuple(rows))
        self._loop.call_soon_threadsafe(self._deliver, event)

    def _deliver(self, event: Event) -> None:
        for listener in self._listeners:
            if not listener.put(event):
                self.dropped += 1
                self._metrics.events.dropped()
