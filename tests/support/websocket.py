"""A WebSocket client for channelled streams, on wsproto alone: nothing of the server's own code speaks here."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import defaultdict
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


_open: list[asyncio.StreamWriter] = []


async def close_all() -> None:
    """Close what this module's clients have opened, with the loop still there for it."""
    while _open:
        writer = _open.pop()
        writer.transport.abort()
    await asyncio.sleep(0.01)


class WebSocketClient:
    """Gathers what comes on each channel. `code` is that of the server's close frame, once it has come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: str) -> None:
        self._reader, self._writer = reader, writer
        self._websocket = WSConnection(ConnectionType.CLIENT)
        self._encoded = "base64" in protocol
        self.received: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.accepted = ""
        self.code = 0
        self._half = ""

    @classmethod
    async def connect(cls, url: str, protocol: str, context: ssl.SSLContext | None = None) -> WebSocketClient:
        """Upgrade at the URL, asking for that subprotocol ("" for none). AssertionError when it is refused."""
        parts = urlsplit(url)
        assert parts.hostname and (context is None) == (parts.scheme == "http"), url
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
        _open.append(writer)
        client = cls(reader, writer, protocol)
        wanted = [protocol] if protocol else []
        writer.write(client._websocket.send(Request(host=parts.netloc, target=parts.path, subprotocols=wanted)))
        while not client.accepted:
            assert await client.read(), "refused"
        assert client.accepted == (protocol or "none")
        return client

    async def send(self, channel: int, data: bytes) -> None:
        """Send data on a channel."""
        if self._encoded:
            message = self._websocket.send(TextMessage(f"{channel}{base64.b64encode(data).decode()}"))
        else:
            message = self._websocket.send(BytesMessage(bytes((channel,)) + data))
        self._writer.write(message)
        await self._writer.drain()

    async def read(self) -> bool:
        """Take what came; False at the end."""
        data = await self._reader.read(1 << 16)
        self._websocket.receive_data(data or None)
        for event in self._websocket.events():
            match event:
                case AcceptConnection():
                    self.accepted = event.subprotocol or "none"
                case RejectConnection():
                    return False
                case Ping():
                    self._writer.write(self._websocket.send(event.response()))
                case CloseConnection():
                    self.code = self.code or event.code
                case TextMessage():
                    self._half += event.data
                    if event.message_finished:
                        self.received[int(self._half[0])] += base64.b64decode(self._half[1:])
                        self._half = ""
                case BytesMessage():
                    assert event.message_finished
                    self.received[event.data[0]] += event.data[1:]
        return bool(data)

    async def until(self, channel: int, expected: bytes) -> None:
        """Read until a channel has brought this."""
        while expected not in self.received[channel]:
            assert await self.read(), f"{expected!r} not in {self.received[channel]!r}"

    async def until_end(self) -> None:
        """Read until the server closes."""
        while await self.read():
            pass

    @property
    def certificate(self) -> bytes:
        """The server's certificate, DER."""
        found: bytes = self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found

    def close(self) -> None:
        """Vanish."""
        self._writer.transport.abort()
