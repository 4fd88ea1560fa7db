"""Streaming without a container: a fake of what sessions open, a server over it, and a SPDY client of our own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from criserver.errors import RuntimeFailed, Unavailable
from criserver.lifecycle.running.streams import Attach, Exec, StreamRequest
from criserver.lifecycle.tasks import Tasks
from criserver.ports.streams import Stdio
from criserver.streaming.server import StreamingServer
from criserver.streaming.wire.machine import NEED_DATA, Answer
from criserver.streaming.wire.spdy import Role, SpdyConnection
from criserver.streaming.wire.spdy_events import DataReceived, GoAwayReceived, StreamReset
from criserver.streaming.wire.spdy_flow import Flow


class FakeProcess:
    """A process that is a pair of pipes; the test writes `stdout` and reads `stdin`."""

    def __init__(self) -> None:
        self.stdin, self._stdin = os.pipe()
        self._stdout, self.stdout = os.pipe()
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.sizes: list[tuple[int, int]] = []
        self.ended = asyncio.Event()

    def server_ends(self) -> Stdio:
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        return Stdio(self._stdin, self._stdout)

    async def wait(self) -> int:
        return await asyncio.shield(self.code)

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    async def end(self) -> None:
        self.ended.set()

    def close(self) -> None:
        for fd in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                os.close(fd)


class FakeAttachment:
    """A container's streams: the test puts `output`, None at the end, and sees `stdin`."""

    def __init__(self) -> None:
        self.output: asyncio.Queue[tuple[bool, bytes] | None] = asyncio.Queue()
        self.stdin = bytearray()
        self.eof = asyncio.Event()
        self.closed = asyncio.Event()
        self.sizes: list[tuple[int, int]] = []
        self.broken = False

    async def read(self) -> tuple[bool, bytes] | None:
        return await self.output.get()

    async def write(self, data: bytes) -> None:
        if self.broken:
            raise Unavailable("the container's stdin is gone")
        self.stdin += data

    async def write_eof(self) -> None:
        self.eof.set()

    async def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    def close(self) -> None:
        self.closed.set()


@dataclass
class FakeService:
    """Stands for StreamService: opens what the test has prepared."""

    process: FakeProcess | None = None
    attachment: FakeAttachment = field(default_factory=FakeAttachment)
    running: bool = False
    ports: dict[int, int] = field(default_factory=dict)
    container_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, request: StreamRequest) -> StreamRequest:
        return request

    async def exec(self, request: Exec) -> tuple[FakeProcess, Stdio]:
        if self.process is None:
            raise RuntimeFailed("exec in container c1: no such program")
        return self.process, self.process.server_ends()

    async def attach(self, request: Attach) -> FakeAttachment:
        return self.attachment

    async def runs(self, container_id: str) -> bool:
        return self.running

    async def ended(self, container_id: str) -> None:
        await self.container_ended.wait()

    async def connect(self, sandbox_id: str, port: int) -> int:
        if port not in self.ports:
            raise Unavailable(f"cannot connect to port {port}: Connection refused")
        return self.ports.pop(port)


_clients: list[asyncio.StreamWriter] = []
"""Connections that tests opened, for `serving` to close."""


@contextlib.asynccontextmanager
async def serving(service: Any, **more: Any) -> AsyncIterator[StreamingServer]:
    """A listening server over a fake service."""
    server = StreamingServer(service, Tasks(), **more)
    await server.start()
    try:
        yield server
    finally:
        for writer in _clients:
            writer.transport.abort()
        _clients.clear()
        await server.stop()
        await asyncio.sleep(0)


class SpdyClient:
    """A client as kubectl is one: it gathers what comes on each stream. With `flow` it keeps windows, as kubectl does
    not; those in `stalled` are streams that it gives no credit."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: Flow = Flow.OFF) -> None:
        self._reader, self._writer = reader, writer
        self._spdy = SpdyConnection(Role.CLIENT, flow=flow)
        self.stalled: set[int] = set()
        self.received: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.ended: set[int] = set()
        self.gone = False

    @classmethod
    async def connect(cls, url: str, protocol: str, flow: Flow = Flow.OFF) -> SpdyClient:
        """Upgrade at the URL. AssertionError with the answer when it is refused."""
        head = f"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {protocol}\r\n"
        reader, writer = await request(url, head, method="POST")
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        return cls(reader, writer, flow)

    def open(self, **headers: str) -> int:
        """Open a stream with these headers; its id."""
        stream_id, frame = self._spdy.open_stream(tuple((name.lower(), value) for name, value in headers.items()))
        self._writer.write(frame)
        return stream_id

    async def send(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        for buffer in self._spdy.send_data(stream_id, data, end_stream=end):
            self._writer.write(buffer)
        await self._writer.drain()

    def room(self, stream_id: int) -> int:
        """What the server takes on the stream now."""
        return self._spdy.window(stream_id)

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Give the server credit."""
        self._writer.write(self._spdy.acknowledge(stream_id, size))

    def reset(self, stream_id: int) -> None:
        self._writer.write(self._spdy.reset(stream_id))

    async def read(self) -> bool:
        """Take what came; False at the end of the connection."""
        data = await self._reader.read(1 << 16)
        if not data:
            return False
        self._spdy.receive_data(data)
        while (event := self._spdy.next_event()) is not NEED_DATA:
            if isinstance(event, DataReceived):
                self.received[event.stream_id] += event.data
                if event.stream_id not in self.stalled:
                    self.acknowledge(event.stream_id, len(event.data))
                if event.end_stream:
                    self.ended.add(event.stream_id)
            elif isinstance(event, StreamReset):
                self.ended.add(event.stream_id)
            elif isinstance(event, Answer):
                self._writer.write(event.data)
            elif isinstance(event, GoAwayReceived):
                self.gone = True
        return True

    async def until(self, stream_id: int, expected: bytes) -> None:
        """Read until a stream has brought this."""
        while not self.received[stream_id].endswith(expected):
            assert await self.read(), f"{expected!r} not in {self.received[stream_id]!r}"

    async def until_end(self, stream_id: int) -> bytes:
        """Read until a stream has ended; what it brought."""
        while stream_id not in self.ended:
            assert await self.read(), f"stream {stream_id} has not ended"
        return bytes(self.received[stream_id])

    def close(self) -> None:
        """Vanish."""
        self._writer.transport.abort()


async def request(
    url: str, head: str = "", *, method: str = "GET"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request's head to the URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    _clients.append(writer)
    writer.write(f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.hostname}\r\n{head}\r\n".encode())
    return reader, writer
