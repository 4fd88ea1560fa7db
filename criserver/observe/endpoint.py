"""A small HTTP server for what is scraped: GET /metrics, and nothing else. On the event loop, by h11.

Clients are not trusted: heads are bounded (h11), bodies are not read, each connection has a time limit, and there is a
most of them. A scrape that is answered while another is being answered shares its text.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import h11

from criserver.errors import FailedPrecondition
from criserver.observe.metrics import CONTENT_TYPE

log = logging.getLogger(__name__)
_PATIENCE: Final = 15.0
"""Seconds that a client gets for its request, for reading the answer and for its next request."""
_CLIENTS: Final = 32
_MAX_HEAD: Final = 8192
_CHUNK: Final = 65536


class Endpoint:
    """The listener of `metrics.address` and `metrics.port`."""

    def __init__(self, text: Callable[[], Awaitable[bytes]], *, address: str, port: int) -> None:
        """`text` gives what /metrics answers; port 0 is any free one."""
        self._text, self._address, self.port = text, address, port
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._asked: asyncio.Future[bytes] | None = None

    async def start(self) -> None:
        """Listen. FailedPrecondition when the address or port cannot be had."""
        try:
            self._server = await asyncio.start_server(self._serve, self._address, self.port, limit=_CHUNK)
        except OSError as error:
            where = f"{self._address} port {self.port}"
            raise FailedPrecondition(
                f"metrics.address, metrics.port: cannot listen on {where}: {error}; "
                "choose another port, or null for none"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("serving metrics", extra={"url": f"http://{self._host}:{self.port}/metrics"})

    def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._clients):
            writer.transport.abort()

    @property
    def _host(self) -> str:
        return f"[{self._address}]" if ":" in self._address else self._address

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            if len(self._clients) <= _CLIENTS:
                await self._answers(reader, writer)
        except (OSError, TimeoutError, h11.ProtocolError):
            pass  # the client is gone, slow, or does not speak HTTP
        finally:
            self._clients.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other on a connection that is kept."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        while True:
            async with asyncio.timeout(_PATIENCE):
                request = await _request(connection, reader)
                if request is None:
                    return
                status, kind, body = await self._answer(request)
                # Nothing of a body is read: whoever sends one is answered and then cut off.
                keep = connection.their_state is h11.DONE
                writer.write(_response(connection, status, kind, body, head=request.method == b"HEAD", keep=keep))
                await writer.drain()
            if connection.our_state is not h11.DONE or not keep:
                return
            connection.start_next_cycle()

    async def _answer(self, request: h11.Request) -> tuple[int, str, bytes]:
        plain = "text/plain; charset=utf-8"
        if request.method not in (b"GET", b"HEAD"):
            return 405, plain, b"only GET and HEAD are answered\n"
        if request.target.partition(b"?")[0] != b"/metrics":
            return 404, plain, b"only /metrics is served here\n"
        try:
            return 200, CONTENT_TYPE, await self._shared()
        except Exception as error:
            log.error("metrics cannot be told: %s", error, exc_info=error)
            return 500, plain, b"metrics cannot be told; the server's log has the reason\n"

    async def _shared(self) -> bytes:
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().create_future()
            try:
                self._asked.set_result(await self._text())
            except BaseException as error:
                self._asked.set_exception(error)
                self._asked.exception()
                raise
        return await asyncio.shield(self._asked)


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The next request's head, with its end if it has no body; None when the client is done."""
    request = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if request is not None:
                return request
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.ConnectionClosed):
            return None
        else:
            return request


def _response(
    connection: h11.Connection, status: int, kind: str, body: bytes, *, head: bool, keep: bool
) -> bytes:
    headers = [("content-type", kind), ("content-length", str(len(body)))]
    headers += [] if keep else [("connection", "close")]
    data = connection.send(h11.Response(status_code=status, headers=headers)) or b""
    data += b"" if head else connection.send(h11.Data(data=body)) or b""
    return data + (connection.send(h11.EndOfMessage()) or b"")
