"""Exec and attach as sessions: a `RemoteCommand` machine between the client and a process's streams."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from criserver.errors import CriError, Unavailable
from criserver.lifecycle.running.streams import Attach, Exec, StreamService
from criserver.ports.streams import Attachment, Process, Stdio, Wanted
from criserver.streaming.link import Link
from criserver.streaming.pumps import Feeder, Pressure, Source, close_input, keep_input
from criserver.streaming.session import ClientGone, Session
from criserver.streaming.stdin import AttachedStdin
from criserver.streaming.wire.remotecommand import (
    OutputRefused,
    PeerGone,
    RemoteCommand,
    RemoteCommandEvent,
    Resized,
    Status,
    StdinClosed,
    StdinReceived,
    StreamsReady,
    StreamType,
    TerminalSize,
)

log = logging.getLogger(__name__)

_READY: Final = 30.0
"""Seconds that a client gets to open its streams, as with the peers."""
_DRAIN: Final = 0.1
"""Seconds for which outputs are read on after a process has ended: a child of it that holds one holds nothing up."""
_OUTLIVE: Final = 1.0
"""Seconds that a command gets to end after its container."""
_REST: Final = 1 << 20
"""Bytes that are still taken then, more than any pipe holds: all that the process itself has written."""


class CommandSession(Session[RemoteCommandEvent]):
    """What exec and attach share: streams first, then the work, then its status."""

    def __init__(self, link: Link, machine: RemoteCommand, stdin: Feeder | AttachedStdin) -> None:
        super().__init__(link, machine)
        self._machine = machine
        self._stdin = stdin
        self._ready = asyncio.Event()
        self._size: TerminalSize | None = None

    async def run(self) -> None:
        """Serve until the work is done or the client gone; nothing of it is left then."""
        async with contextlib.AsyncExitStack() as left:
            left.callback(self._stdin.close)
            try:
                status = await self._status(left)
                self.write(self._machine.finish(status))
            except ClientGone as gone:
                log.info("streaming session ends: %s", gone)
            self._link.finish()

    async def work(self, left: contextlib.AsyncExitStack) -> Status:
        """Do what was asked for; `left` takes what must be given back."""
        raise NotImplementedError

    def resized(self, size: TerminalSize) -> None:
        """The client's terminal has this size."""
        raise NotImplementedError

    def on(self, event: RemoteCommandEvent) -> None:
        """The client did something."""
        match event:
            case StdinReceived():
                self._stdin.feed(event.data)
            case StdinClosed():
                self._stdin.end()
            case Resized():
                self._size = event.size
                self.resized(event.size)
            case StreamsReady():
                self._ready.set()
            case PeerGone():
                self.lost(event.reason)
            case OutputRefused():
                pass  # The machine drops what is sent there; the process does not notice.

    def output(self, stream: StreamType, data: bytes) -> None:
        """Output of the process."""
        self.write(self._machine.send_output(stream, data))

    async def _status(self, left: contextlib.AsyncExitStack) -> Status:
        try:
            async with asyncio.timeout(_READY):
                await self.unless_gone(self._ready.wait())
        except TimeoutError:
            names = ", ".join(sorted(stream.value for stream in self._machine.missing))
            return Status(None, f"timed out waiting for the client to open its streams: {names}")
        try:
            return await self.work(left)
        except CriError as error:
            return Status(None, str(error))


class ExecSession(CommandSession):
    """A command in a container: it is ended when its client goes."""

    def __init__(self, link: Link, machine: RemoteCommand, service: StreamService, request: Exec) -> None:
        self._input = Feeder(Pressure(link.hold), keep_input if request.wanted.tty else close_input)
        super().__init__(link, machine, self._input)
        self._service, self._request = service, request
        self._process: Process | None = None
        self._sources: list[Source] = []

    async def work(self, left: contextlib.AsyncExitStack) -> Status:
        """Start the command and serve its streams until it ends."""
        process, stdio = await self.unless_gone(self._service.exec(self._request))
        left.push_async_callback(process.end)
        self._open(stdio, left)
        self._process = process
        if self._size is not None:
            self.resized(self._size)
        code = await self.unless_gone(self._code(process))
        if ends := [source.done for source in self._sources if not source.done.done()]:
            await asyncio.wait(ends, timeout=_DRAIN)
        for source in self._sources:
            source.rest(_REST)
        return Status(code)

    async def _code(self, process: Process) -> int:
        """The command's exit code; Unavailable when it outlives its container, as it can where PIDs are shared."""
        loop, container_id = asyncio.get_running_loop(), self._request.container_id
        code, ended = loop.create_task(process.wait()), loop.create_task(self._service.ended(container_id))
        try:
            await asyncio.wait((code, ended), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((code,), timeout=_OUTLIVE)
            if not code.done():
                raise Unavailable(f"container {container_id} has ended, and this command with it")
            return code.result()
        finally:
            code.cancel()
            ended.cancel()

    def resized(self, size: TerminalSize) -> None:
        """Give the command's terminal this size."""
        if self._process is not None:
            self._process.resize(size.width, size.height)

    def writable(self, on: bool) -> None:
        """A client that is slow makes the command wait."""
        for source in self._sources:
            (source.resume if on else source.pause)()

    def _open(self, stdio: Stdio, left: contextlib.AsyncExitStack) -> None:
        self._input.open(stdio.stdin)
        left.callback(self._input.close)
        for stream, fd in ((StreamType.STDOUT, stdio.stdout), (StreamType.STDERR, stdio.stderr)):
            if fd >= 0:
                source = self._source(stream, fd)
                left.callback(source.close)
        self.writable(not self._link.congested)

    def _source(self, stream: StreamType, fd: int) -> Source:
        if stream is StreamType.STDOUT and not self._request.wanted.stdout:  # a terminal's, which somebody has to read
            unread = Source(fd, lambda data: None)
            unread.resume()
            return unread
        source = Source(fd, lambda data: self.output(stream, data))
        source.done.add_done_callback(lambda _: self.write(self._machine.close_output(stream)))
        self._sources.append(source)
        return source


class AttachSession(CommandSession):
    """A container's own streams: the container does not notice that its client comes, is slow, or goes."""

    def __init__(self, link: Link, machine: RemoteCommand, service: StreamService, request: Attach) -> None:
        self._attached = AttachedStdin(Pressure(link.hold))
        super().__init__(link, machine, self._attached)
        self._service, self._request = service, request
        self._resizing = asyncio.Event()

    async def work(self, left: contextlib.AsyncExitStack) -> Status:
        """Serve the container's streams until it ends."""
        attachment = await self.unless_gone(self._service.attach(self._request))
        left.callback(attachment.close)
        await self.unless_gone(self._serve(attachment, self._request.wanted))
        if await self._service.runs(self._request.container_id):
            return Status(None, "detached: the client did not take the container's output as fast as it came")
        return Status(0)

    def resized(self, size: TerminalSize) -> None:
        """Give the container's terminal this size."""
        self._resizing.set()

    async def _serve(self, attachment: Attachment, wanted: Wanted) -> None:
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(self._resize(attachment))]
            if wanted.stdin:
                others.append(group.create_task(self._attached.write_to(attachment)))
            while (item := await attachment.read()) is not None:
                self.output(StreamType.STDERR if item[0] else StreamType.STDOUT, item[1])
                await self._link.drained()
            for task in others:
                task.cancel()

    async def _resize(self, attachment: Attachment) -> None:
        while await self._resizing.wait():
            self._resizing.clear()
            if self._size is not None:
                await attachment.resize(self._size.width, self._size.height)
