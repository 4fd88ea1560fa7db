"""A registry that misbehaves on demand: it serves images over plain http, and each kind of answer can be spoilt.

It speaks the pulling half of the distribution protocol, wants basic authentication, and writes down every request with
its credentials. It must not know the server under test.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from tests.support.images import Document

USER, PASSWORD = "joe", "s3cret-word"
EXPECTED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass(frozen=True)
class Asked:
    """A request: its path, and the Authorization that came with it."""

    path: str
    authorization: str


Answer = Callable[["Handler", bytes, str], None]
"""Answers a request for the bytes of a media type, somehow."""


@dataclass
class BadRegistry:
    """One running registry at "HOST:PORT" with one image, `image` under the tag 1. Give `spoil` answers by kind.

    Kinds are "ping", "manifest", "config" and "layer". With `tokens` (of identity → for access) it wants a bearer
    token, which it gives for one of identity (OAuth2 of the distribution protocol, POST /token).
    """

    document: Document
    host: str = "127.0.0.1"
    spoil: dict[str, Answer] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer((self.host, 0), type("Bound", (Handler,), {"registry": self}))
        self._server.daemon_threads = True
        self.address = f"{self.host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def registries_conf(self, path: Path) -> Path:
        """A registries.conf that lets it speak plain http."""
        path.write_text(f'[[registry]]\nlocation = "{self.address}"\ninsecure = true\n')
        return path

    @property
    def challenge(self) -> str:
        """What a request without the right credentials is answered."""
        return f'Bearer realm="http://{self.address}/token",service="test"' if self.tokens else 'Basic realm="test"'

    def welcome(self, authorization: str) -> bool:
        """Whether those are the right credentials."""
        return authorization in [f"Bearer {token}" for token in self.tokens.values()] or (
            authorization == EXPECTED and not self.tokens
        )

    def found(self, path: str) -> tuple[str, bytes, str]:
        """Kind, content and media type of what is at `path`."""
        if path == "/v2/":
            return "ping", b"{}", "application/json"
        if "/manifests/" in path:
            return "manifest", self.document.content, self.document.media_type
        blob = self.document.blobs[path.rpartition("/")[2]]
        return "config" if blob.startswith(b"{") else "layer", blob, "application/octet-stream"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    registry: BadRegistry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, spoilt or not."""
        given = self.headers.get("Authorization", "")
        self.registry.asked.append(Asked(self.path, given))
        kind, content, media_type = self.registry.found(self.path)
        with contextlib.suppress(ConnectionError):
            if not self.registry.welcome(given) and not (kind == "ping" and "ping" in self.registry.spoil):
                challenge = {"WWW-Authenticate": self.registry.challenge}
                status(401, "UNAUTHORIZED", "authentication required", challenge)(self, content, media_type)
            else:
                self.registry.spoil.get(kind, well)(self, content, media_type)

    def do_POST(self) -> None:
        """A token of access for one of identity."""
        form = urllib.parse.parse_qs(b"".join(iter(self._received, b"")).decode())
        token = self.registry.tokens.get(form.get("refresh_token", [""])[0], "")
        if form.get("grant_type") == ["refresh_token"] and token:
            well(self, json.dumps({"access_token": token, "expires_in": 300}).encode(), "application/json")
        else:
            status(401, "UNAUTHORIZED", "no such token")(self, b"", "")

    def _received(self) -> bytes:
        """One chunk."""
        length = int(self.rfile.readline(), 16)
        return self.rfile.read(length + 2)[:length]

    def begin(self, code: int, media_type: str, length: int | None, headers: dict[str, str] | None = None) -> None:
        """The head of an answer; without a length it is chunked."""
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        framing = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))
        for name, value in (framing, *(headers or {}).items()):
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        """One chunk."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `asked` has it."""


def well(handler: Handler, content: bytes, media_type: str) -> None:
    """As it should be."""
    handler.begin(200, media_type, len(content))
    handler.wfile.write(content)


def status(code: int, error: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    """An error of the distribution protocol."""

    def answer(handler: Handler, _content: bytes, _media_type: str) -> None:
        body = f'{{"errors": [{{"code": "{error}", "message": "{message}"}}]}}'.encode()
        handler.begin(code, "application/json", len(body), headers)
        handler.wfile.write(body)

    return answer


def other(content: bytes) -> Answer:
    """These bytes instead."""
    return lambda handler, _content, media_type: well(handler, content, media_type)


def damaged(handler: Handler, content: bytes, media_type: str) -> None:
    """The last byte is another one."""
    well(handler, content[:-1] + bytes([content[-1] ^ 1]), media_type)


def shorter(handler: Handler, content: bytes, media_type: str) -> None:
    """A whole answer, of half the bytes."""
    well(handler, content[: len(content) // 2], media_type)


def longer(handler: Handler, content: bytes, media_type: str) -> None:
    """More than there should be, and no word of how much."""
    handler.begin(200, media_type, None)
    handler.chunk(content)
    for _ in range(64):
        handler.chunk(bytes(1 << 16))
    handler.chunk(b"")


def cut(handler: Handler, content: bytes, media_type: str) -> None:
    """Half of it, and the connection is gone."""
    handler.begin(200, media_type, len(content))
    handler.wfile.write(content[: len(content) // 2])
    handler.wfile.flush()
    handler.close_connection = True


def stalled(handler: Handler, content: bytes, media_type: str) -> None:
    """Half of it, and then nothing more."""
    handler.begin(200, media_type, len(content))
    handler.wfile.write(content[: len(content) // 2])
    handler.wfile.flush()
    handler.registry.closing.wait(60)


def slow(handler: Handler, content: bytes, media_type: str) -> None:
    """All of it, by and by: for two seconds."""
    handler.begin(200, media_type, len(content))
    step = len(content) // 10 + 1
    for start in range(0, len(content), step):
        handler.wfile.write(content[start : start + step])
        handler.wfile.flush()
        time.sleep(0.2)


def endless(handler: Handler, _content: bytes, media_type: str) -> None:
    """A document that goes on and on."""
    handler.begin(200, media_type, None)
    handler.chunk(b'{"schemaVersion": 2, "x": "')
    while not handler.registry.closing.is_set():
        handler.chunk(b"x" * (1 << 16))


def redirected(to: str) -> Answer:
    """To the same path at another host ("HOST:PORT")."""

    def answer(handler: Handler, _content: bytes, media_type: str) -> None:
        handler.begin(307, media_type, 0, {"Location": f"http://{to}{handler.path}"})

    return answer
