from __future__ import annotations

from typing import Any

import pytest

from criserver.streaming.wire import portforward, remotecommand
from criserver.streaming.wire.http1 import HttpConnection, RequestReceived
from criserver.streaming.wire.upgrade import Refusal, Transport, Upgrade, accept_key, negotiate
from tests.unit.streaming.wire.kit import capture
from tests.unit.streaming.wire.test_http1 import request as parse

SERVED: dict[str, Any] = {"spdy": ("v4.a", "v3.a"), "websocket": ("v4.a", "")}
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def request(method: str = "GET", **headers: str) -> RequestReceived:
    return RequestReceived(method, "/", tuple((name.replace("_", "-"), value) for name, value in headers.items()))


def spdy(protocols: str) -> RequestReceived:
    return request("POST", connection="Upgrade", upgrade="spdy/3.1", x_stream_protocol_version=protocols)


def websocket(method: str = "GET", key: str = KEY, version: str = "13", **more: str) -> RequestReceived:
    return request(
        method,
        connection="keep-alive, upgrade",
        upgrade="WebSocket",
        sec_websocket_key=key,
        sec_websocket_version=version,
        **more,
    )


def test_accept_key_is_the_rfcs_example() -> None:
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_spdy_takes_the_clients_first_choice() -> None:
    upgrade = negotiate(spdy("v9.a, v3.a,v4.a"), **SERVED)
    headers = (("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v3.a"))
    assert upgrade == Upgrade(Transport.SPDY, "v3.a", headers)


def test_websocket_takes_the_clients_first_choice() -> None:
    upgrade = negotiate(websocket(sec_websocket_protocol="v9.a, v4.a"), **SERVED)
    assert isinstance(upgrade, Upgrade)
    assert (upgrade.transport, upgrade.protocol) == (Transport.WEBSOCKET, "v4.a")
    assert ("Sec-WebSocket-Protocol", "v4.a") in upgrade.headers
    assert ("Sec-WebSocket-Accept", accept_key(KEY)) in upgrade.headers


def test_websocket_with_no_protocol_named() -> None:
    upgrade = negotiate(websocket(), **SERVED)
    assert isinstance(upgrade, Upgrade)
    assert upgrade.protocol == ""
    assert "Sec-WebSocket-Protocol" not in dict(upgrade.headers)
    assert isinstance(negotiate(websocket(), spdy=(), websocket=("v4.a",)), Refusal)


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        (request(), 400, "no 'Connection: Upgrade'"),
        (request(connection="upgrade", upgrade="h2c"), 400, "h2c"),
        (request(connection="upgrade", upgrade="SPDY/3.1"), 400, "X-Stream-Protocol-Version"),
        (spdy(" , "), 400, "X-Stream-Protocol-Version"),
        (spdy("v1.b"), 403, "server speaks v4.a, v3.a"),
        (websocket("POST"), 405, "GET"),
        (websocket(version="8"), 426, "13"),
        (websocket(key="short"), 400, "16 bytes"),
        (websocket(key="dG9vIHNob3J0"), 400, "16 bytes"),
        (websocket(key="\xff"), 400, "16 bytes"),
        (websocket(sec_websocket_protocol="v1.b"), 403, "server speaks v4.a"),
    ],
)
def test_refusals(asked: RequestReceived, status: int, words: str) -> None:
    refusal = negotiate(asked, **SERVED)
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    assert words in refusal.text


def test_a_refused_spdy_client_learns_what_is_served() -> None:
    refusal = negotiate(spdy("v1.b"), **SERVED)
    assert refusal.headers == (
        ("X-Accepted-Stream-Protocol-Versions", "v4.a"),
        ("X-Accepted-Stream-Protocol-Versions", "v3.a"),
    )


@pytest.mark.parametrize(
    ("name", "transport", "protocol"),
    [
        ("exec-spdy-tty", Transport.SPDY, "v5.channel.k8s.io"),  # it offered all five, best first
        ("exec-spdy-v4", Transport.SPDY, "v4.channel.k8s.io"),
        ("exec-spdy-v1", Transport.SPDY, "channel.k8s.io"),
        ("exec-websocket-v5", Transport.WEBSOCKET, "v5.channel.k8s.io"),
        ("exec-websocket-v4", Transport.WEBSOCKET, "v4.channel.k8s.io"),
        ("portforward-spdy", Transport.SPDY, "portforward.k8s.io"),
        ("portforward-tunnel", Transport.WEBSOCKET, "SPDY/3.1+portforward.k8s.io"),
    ],
)
def test_real_clients(name: str, transport: Transport, protocol: str) -> None:
    asked = parse(HttpConnection(), capture(name)[0])
    spdy_served = (*remotecommand.SPDY_PROTOCOLS, portforward.SPDY_PROTOCOL)
    websocket_served = (*remotecommand.WEBSOCKET_PROTOCOLS, portforward.TUNNEL_PROTOCOL)
    upgrade = negotiate(asked, spdy=spdy_served, websocket=websocket_served)
    assert isinstance(upgrade, Upgrade)
    assert (upgrade.transport, upgrade.protocol) == (transport, protocol)
