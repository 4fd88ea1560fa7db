"""Streams: the input and output of running containers and pods, for clients that are connected to them right now.

Descriptors here are non-blocking and close-on-exec, and whoever is given one closes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Wanted:
    """The streams that a client asked for. With a terminal there is no stderr: it is part of stdout."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


@dataclass(frozen=True, slots=True)
class Stdio:
    """The server's ends of a process's streams; -1 for one that nobody asked for.

    A terminal's output is always there, and must be read: its process would wait for ever otherwise.
    """

    stdin: int = -1
    stdout: int = -1
    stderr: int = -1


class Process(Protocol):
    """One process that was started beside a container's own."""

    async def wait(self) -> int:
        """Its exit code, 128+signal after a signal. Unavailable when it cannot be known any more."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Give its terminal this size; without one, or after its end, nothing happens."""
        ...

    async def end(self) -> None:
        """Give it up: what still runs of it is hung up on, then killed, and nothing of it is left. Idempotent.

        After a process that has ended by itself, what it has left in the background lives on.
        """
        ...


class Attachment(Protocol):
    """A client's connection to the streams of a container's own process. Closing it does no harm to the container."""

    async def read(self) -> tuple[bool, bytes] | None:
        """The next output: whether it is stderr, and its bytes; None at the end.

        A caller that does not read is held back for a while, and then dropped: the container never waits.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Feed the container's stdin; waits while it does not read. Unavailable when the container is gone."""
        ...

    async def write_eof(self) -> None:
        """No more stdin from here: it ends if the container asked for stdin once. Unavailable as for `write`."""
        ...

    async def resize(self, columns: int, rows: int) -> None:
        """Give the container's terminal this size; without one, or after its end, nothing happens."""
        ...

    def close(self) -> None:
        """Let go of the container."""
        ...


class Streams(Protocol):
    """Start processes in containers, attach to them, connect to ports in pods."""

    async def exec(
        self, container_id: str, command: tuple[str, ...], process: str, wanted: Wanted
    ) -> tuple[Process, Stdio]:
        """Start the OCI process document `process` (JSON) under runtime prefix `command`, with the streams wanted.

        RuntimeFailed carries the runtime's words; nothing is left then.
        """
        ...

    async def attach(self, container_id: str, wanted: Wanted) -> Attachment:
        """Attach to a running container. FailedPrecondition when it has ended or lost its monitor."""
        ...

    async def connect(self, netns: str, port: int) -> int:
        """A connected TCP socket to `port` on loopback, IPv4 before IPv6, in the network namespace at path `netns`.

        "" is the node's own. Unavailable says what each address answered.
        """
        ...
