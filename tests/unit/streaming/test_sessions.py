from __future__ import annotations

from typing import Any

import pytest

from criserver.lifecycle.running.streams import Attach, Exec, Forward, StreamRequest
from criserver.ports.streams import Wanted
from criserver.streaming.command import AttachSession, ExecSession
from criserver.streaming.forward import ForwardSession
from criserver.streaming.link import Link
from criserver.streaming.sessions import open_session, upgrade_for
from criserver.streaming.tunnelled import TunnelledPortForward
from criserver.streaming.wire.http1 import RequestReceived
from criserver.streaming.wire.machine import Headers
from criserver.streaming.wire.portforward_spdy import SpdyPortForward
from criserver.streaming.wire.portforward_websocket import WebSocketPortForward
from criserver.streaming.wire.remotecommand_spdy import SpdyRemoteCommand
from criserver.streaming.wire.remotecommand_websocket import WebSocketRemoteCommand
from criserver.streaming.wire.upgrade import Refusal, Upgrade

EXEC = Exec("c1", ("x",), Wanted(stdout=True))
ATTACH = Attach("c1", Wanted(stdout=True))
FORWARD = Forward("p1", (80,))


def request(transport: str, protocol: str) -> RequestReceived:
    headers: Headers = (("connection", "Upgrade"), ("upgrade", transport))
    if transport == "websocket":
        headers += (("sec-websocket-version", "13"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
        headers += (("sec-websocket-protocol", protocol),) if protocol else ()
    else:
        headers += (("x-stream-protocol-version", protocol),)
    return RequestReceived("GET", "/", headers)


@pytest.mark.parametrize(
    ("wish", "transport", "protocol", "session", "machine"),
    [
        (EXEC, "SPDY/3.1", "v4.channel.k8s.io", ExecSession, SpdyRemoteCommand),
        (EXEC, "websocket", "v5.channel.k8s.io", ExecSession, WebSocketRemoteCommand),
        (EXEC, "websocket", "v4.base64.channel.k8s.io", ExecSession, WebSocketRemoteCommand),
        (ATTACH, "websocket", "", AttachSession, WebSocketRemoteCommand),
        (ATTACH, "SPDY/3.1", "channel.k8s.io", AttachSession, SpdyRemoteCommand),
        (FORWARD, "SPDY/3.1", "portforward.k8s.io", ForwardSession, SpdyPortForward),
        (FORWARD, "websocket", "SPDY/3.1+portforward.k8s.io", ForwardSession, TunnelledPortForward),
        (FORWARD, "websocket", "v4.channel.k8s.io", ForwardSession, WebSocketPortForward),
    ],
)
async def test_who_serves(
    wish: StreamRequest, transport: str, protocol: str, session: type[Any], machine: type[Any]
) -> None:
    upgrade = upgrade_for(wish, request(transport, protocol))
    assert isinstance(upgrade, Upgrade)
    link = Link(lambda _: None, lambda _: None, 60)  # type: ignore[arg-type,return-value]
    opened: Any = open_session(link, wish, upgrade, None)  # type: ignore[arg-type]
    assert type(opened) is session
    assert type(opened._machine) is machine


@pytest.mark.parametrize(
    ("wish", "transport", "protocol", "status"),
    [
        (EXEC, "SPDY/3.1", "portforward.k8s.io", 403),
        (FORWARD, "SPDY/3.1", "v4.channel.k8s.io", 403),
        (Forward("p1"), "websocket", "v4.channel.k8s.io", 400),
        (EXEC, "h2c", "x", 400),
    ],
)
def test_refusals(wish: StreamRequest, transport: str, protocol: str, status: int) -> None:
    refused = upgrade_for(wish, request(transport, protocol))
    assert isinstance(refused, Refusal)
    assert refused.status == status
