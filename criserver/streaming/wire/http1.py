"""The HTTP/1.1 that a streaming URL sees: one request head, then an upgrade or a refusal, never a second request.

h11 parses; this module says what the server wants of it: bounded heads, answers as bytes, and the bytes that a hasty
client sent behind its head. It must not know paths, tokens or what is upgraded to (that is `upgrade`'s).
"""

from __future__ import annotations

from dataclasses import dataclass

import h11

from criserver.streaming.wire.machine import (
    NEED_DATA,
    Headers,
    LocalProtocolError,
    NeedData,
    RemoteProtocolError,
    first_value,
)

MAX_HEAD = 32 * 1024
"""Bytes of a request line and headers. The kubelet passes on what a proxy before the API server added."""
_MAX_BODY = 64 * 1024
"""Body bytes read past: exec is a POST, and clients send an empty or small body with it."""


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """The one request: `method` in capitals, `target` as sent (path and query), header names in lower case."""

    method: str
    target: str
    headers: Headers

    def header(self, name: str) -> str | None:
        """The first value of a header (name in lower case), or None."""
        return first_value(self.headers, name)

    def tokens(self, name: str) -> tuple[str, ...]:
        """All comma-separated tokens of all headers of this name, in order (RFC 9110, 5.6.1)."""
        values = (value for field, value in self.headers if field == name)
        return tuple(token.strip() for value in values for token in value.split(",") if token.strip())


class HttpConnection:
    """The server's side of one connection until its upgrade."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._request: RequestReceived | None = None
        self._body = 0
        self._broken: RemoteProtocolError | None = None

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; empty means that the peer closed its side."""
        try:
            self._h11.receive_data(data)
        except RuntimeError as exc:
            raise LocalProtocolError("bytes received after the end of the HTTP connection") from exc

    def next_event(self) -> RequestReceived | NeedData:
        """The request once it is whole; RemoteProtocolError (its farewell an HTTP answer) when it is not HTTP/1.1.

        Decide on it before feeding more: what comes behind it is kept, without a bound, as `trailing_data`.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return self._next_event()
        except h11.RemoteProtocolError as exc:
            raise self._fail(exc.error_status_hint, f"HTTP request: {exc}") from exc

    def _next_event(self) -> RequestReceived | NeedData:
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request):
                self._request = _request(event)
            elif isinstance(event, h11.Data):
                self._count_body(len(event.data))
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                return self._request
            elif event in (h11.NEED_DATA, h11.PAUSED):
                return NEED_DATA
            else:
                raise self._fail(None, "the peer closed the connection before its request was whole")

    def upgrade(self, headers: Headers) -> bytes:
        """The 101 answer; what came behind the request is then `trailing_data` in the new protocol."""
        try:
            return self._send(h11.InformationalResponse(status_code=101, headers=list(headers)))
        except h11.LocalProtocolError as exc:
            raise LocalProtocolError(f"upgrade cannot be answered now: {exc}") from exc

    @property
    def trailing_data(self) -> bytes:
        """Bytes received after the request."""
        return bytes(self._h11.trailing_data[0])

    def refuse(self, status: int, text: str, headers: Headers = ()) -> bytes:
        """Any other answer, in plain text; close the connection after it."""
        body = text.encode("utf-8")
        fields = [
            *headers,
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        try:
            head = self._send(h11.Response(status_code=status, headers=fields))
            if self._request is None or self._request.method != "HEAD":
                head += self._send(h11.Data(data=body))
            return head + self._send(h11.EndOfMessage())
        except h11.LocalProtocolError as exc:
            raise LocalProtocolError(f"answer {status} cannot be sent now: {exc}") from exc

    def _send(self, event: h11.Event) -> bytes:
        return self._h11.send(event) or b""

    def _count_body(self, size: int) -> None:
        self._body += size
        if self._body > _MAX_BODY:
            raise self._fail(413, f"HTTP request body of more than {_MAX_BODY} bytes")

    def _fail(self, status: int | None, message: str) -> RemoteProtocolError:
        farewell = b""
        if status is not None and self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            farewell = self.refuse(status, f"{message}\n")
        self._broken = RemoteProtocolError(message, farewell)
        return self._broken


def _request(event: h11.Request) -> RequestReceived:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
    return RequestReceived(event.method.decode("ascii").upper(), event.target.decode("latin-1"), headers)
