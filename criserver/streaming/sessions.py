"""From a request and its upgrade to the session that serves it: which protocols are spoken, and by which machine."""

from __future__ import annotations

from typing import Any

from criserver.lifecycle.running.streams import Exec, Forward, StreamRequest, StreamService
from criserver.ports.streams import Wanted
from criserver.streaming.command import AttachSession, ExecSession
from criserver.streaming.forward import ForwardSession
from criserver.streaming.link import Link
from criserver.streaming.session import Session
from criserver.streaming.tunnelled import TunnelledPortForward
from criserver.streaming.wire import portforward, remotecommand
from criserver.streaming.wire.http1 import RequestReceived
from criserver.streaming.wire.portforward import PortForward
from criserver.streaming.wire.portforward_spdy import SpdyPortForward
from criserver.streaming.wire.portforward_websocket import MAX_PORTS, WebSocketPortForward
from criserver.streaming.wire.remotecommand import RemoteCommand, StreamOptions
from criserver.streaming.wire.remotecommand_spdy import SpdyRemoteCommand
from criserver.streaming.wire.remotecommand_websocket import WebSocketRemoteCommand
from criserver.streaming.wire.upgrade import Refusal, Transport, Upgrade, negotiate

_COMMAND_WEBSOCKET = tuple(remotecommand.WEBSOCKET_PROTOCOLS)
_COMMAND_SPDY = tuple(remotecommand.SPDY_PROTOCOLS)
_FORWARD_WEBSOCKET = (portforward.TUNNEL_PROTOCOL, *portforward.WEBSOCKET_PROTOCOLS)
_FORWARD_SPDY = (portforward.SPDY_PROTOCOL,)


def upgrade_for(wish: StreamRequest, request: RequestReceived) -> Upgrade | Refusal:
    """How the client that comes with `request` can have what it wishes."""
    if not isinstance(wish, Forward):
        return negotiate(request, spdy=_COMMAND_SPDY, websocket=_COMMAND_WEBSOCKET)
    upgrade = negotiate(request, spdy=_FORWARD_SPDY, websocket=_FORWARD_WEBSOCKET)
    if isinstance(upgrade, Upgrade) and _channelled(upgrade) and not 0 < len(wish.ports) <= MAX_PORTS:
        return Refusal(400, f"port-forward over WebSocket channels takes 1 to {MAX_PORTS} ports\n")
    return upgrade


def open_session(link: Link, wish: StreamRequest, upgrade: Upgrade, service: StreamService) -> Session[Any]:
    """The session that serves the wish on the link."""
    if isinstance(wish, Forward):
        machine = _forward_machine(upgrade, wish)
        return ForwardSession(link, machine, service, wish, half_close=not _channelled(upgrade))
    command = _command_machine(upgrade, wish.wanted)
    if isinstance(wish, Exec):
        return ExecSession(link, command, service, wish)
    return AttachSession(link, command, service, wish)


def _channelled(upgrade: Upgrade) -> bool:
    return upgrade.transport is Transport.WEBSOCKET and upgrade.protocol != portforward.TUNNEL_PROTOCOL


def _forward_machine(upgrade: Upgrade, wish: Forward) -> PortForward:
    if upgrade.transport is Transport.SPDY:
        return SpdyPortForward()
    if upgrade.protocol == portforward.TUNNEL_PROTOCOL:
        return TunnelledPortForward()
    return WebSocketPortForward(portforward.WEBSOCKET_PROTOCOLS[upgrade.protocol], wish.ports)


def _command_machine(upgrade: Upgrade, wanted: Wanted) -> RemoteCommand:
    options = StreamOptions(wanted.stdin, wanted.stdout, wanted.stderr, wanted.tty)
    if upgrade.transport is Transport.SPDY:
        return SpdyRemoteCommand(remotecommand.SPDY_PROTOCOLS[upgrade.protocol], options)
    version, encoding = remotecommand.WEBSOCKET_PROTOCOLS[upgrade.protocol]
    return WebSocketRemoteCommand(version, encoding, options)
