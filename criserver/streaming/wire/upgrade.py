"""Which protocol a request is upgraded to, and what it is told if to none.

    SPDY:       Connection: Upgrade, Upgrade: SPDY/3.1, X-Stream-Protocol-Version: what the streams then mean
    WebSocket:  Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Key, -Version 13, -Protocol (RFC 6455, 4.2)

One pure decision, `negotiate()`: the request and the protocols offered, to an `Upgrade` or a `Refusal`. The client's
order of preference wins, as with the peers. It must not know what a protocol name stands for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import Enum, auto

from criserver.streaming.wire.http1 import RequestReceived
from criserver.streaming.wire.machine import Headers

SPDY_31 = "SPDY/3.1"
STREAM_PROTOCOL_HEADER = "x-stream-protocol-version"
_ACCEPTED_HEADER = "X-Accepted-Stream-Protocol-Versions"
_WEBSOCKET_VERSION = "13"
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_WEBSOCKET_NONCE = 16


class Transport(Enum):
    """What carries the streams."""

    SPDY = auto()
    WEBSOCKET = auto()


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Answer 101 with `headers`, then speak `protocol` over `transport`; "" is a WebSocket client that named none."""

    transport: Transport
    protocol: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer with this instead."""

    status: int
    text: str
    headers: Headers = ()


def negotiate(request: RequestReceived, *, spdy: tuple[str, ...], websocket: tuple[str, ...]) -> Upgrade | Refusal:
    """Decide the upgrade. `spdy` and `websocket`: the protocols served on each; "" among them takes none named."""
    if "upgrade" not in {token.lower() for token in request.tokens("connection")}:
        return Refusal(400, "unable to upgrade: the request has no 'Connection: Upgrade' header\n")
    wanted = {token.lower() for token in request.tokens("upgrade")}
    if "websocket" in wanted:
        return _websocket(request, websocket)
    if SPDY_31.lower() in wanted:
        return _spdy(request, spdy)
    return Refusal(400, f"unable to upgrade: Upgrade must be '{SPDY_31}' or 'websocket', not {sorted(wanted)}\n")


def _spdy(request: RequestReceived, served: tuple[str, ...]) -> Upgrade | Refusal:
    asked = request.tokens(STREAM_PROTOCOL_HEADER)
    if not asked:
        return Refusal(400, "unable to upgrade: header X-Stream-Protocol-Version is missing or empty\n")
    protocol = next((name for name in asked if name in served), None)
    if protocol is None:
        text = f"unable to upgrade: client speaks {', '.join(asked)}; server speaks {', '.join(served)}\n"
        return Refusal(403, text, tuple((_ACCEPTED_HEADER, name) for name in served))
    headers = (("Connection", "Upgrade"), ("Upgrade", SPDY_31), ("X-Stream-Protocol-Version", protocol))
    return Upgrade(Transport.SPDY, protocol, headers)


def _websocket(request: RequestReceived, served: tuple[str, ...]) -> Upgrade | Refusal:
    key = request.header("sec-websocket-key") or ""
    if request.method != "GET":
        return Refusal(405, "a WebSocket upgrade must be a GET\n", (("Allow", "GET"),))
    if request.header("sec-websocket-version") != _WEBSOCKET_VERSION:
        text = f"WebSocket version must be {_WEBSOCKET_VERSION}\n"
        return Refusal(426, text, (("Upgrade", "websocket"), ("Sec-WebSocket-Version", _WEBSOCKET_VERSION)))
    if not _is_nonce(key):
        return Refusal(400, "header Sec-WebSocket-Key must be 16 bytes in base64\n")
    asked = request.tokens("sec-websocket-protocol") or ("",)
    protocol = next((name for name in asked if name in served), None)
    if protocol is None:
        text = f"unable to upgrade: client speaks {', '.join(asked)}; server speaks {', '.join(filter(None, served))}\n"
        return Refusal(403, text)
    headers: Headers = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept_key(key)))
    if protocol:
        headers += (("Sec-WebSocket-Protocol", protocol),)
    return Upgrade(Transport.WEBSOCKET, protocol, headers)


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455, 4.2.2)."""
    return base64.b64encode(
        hashlib.sha1(key.encode("ascii") + _WEBSOCKET_GUID, usedforsecurity=False).digest()
    ).decode()


def _is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _WEBSOCKET_NONCE
    except (binascii.Error, ValueError):
        return False
