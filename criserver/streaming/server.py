"""The streaming server: where the URLs of Exec, Attach and PortForward lead to."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from criserver.errors import FailedPrecondition
from criserver.lifecycle.running.streams import Attach, Exec, Forward, StreamRequest, StreamService
from criserver.lifecycle.tasks import Tasks
from criserver.streaming.handshake import Decision, Handshake, token_of
from criserver.streaming.link import Link
from criserver.streaming.sessions import open_session, upgrade_for
from criserver.streaming.tls import Certificate
from criserver.streaming.tokens import Tokens
from criserver.streaming.wire.http1 import RequestReceived
from criserver.streaming.wire.upgrade import Refusal, Upgrade

log = logging.getLogger(__name__)

IDLE: Final = 4 * 3600.0
"""Seconds without a byte after which a session is closed, as with the peers."""
CONNECTIONS: Final = 1000
_BACKLOG: Final = 128
_STOPPING: Final = 5.0
_RENEWING: Final = 10.0
"""Seconds after which a new certificate is in use."""
_KINDS: Final = {Exec: "exec", Attach: "attach", Forward: "portforward"}
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class StreamingServer:
    """Mints URLs, and serves those who come with them."""

    def __init__(
        self,
        service: StreamService,
        tasks: Tasks,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        certificate: Certificate | None = None,
        idle: float = IDLE,
        connections: int = CONNECTIONS,
    ) -> None:
        """`address` and `port` to listen on (0: any free one); `connections`: how many clients at a time."""
        self._service, self._tasks, self._certificate = service, tasks, certificate
        self._address, self._port = address, port
        self._idle, self._connections = idle, connections
        self._tokens: Tokens[StreamRequest] = Tokens(time.monotonic)
        self._links: set[Link] = set()
        self._sessions: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. FailedPrecondition when the address or port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(
                lambda: Link(self._greet, self._links.discard, self._idle),
                self._address,
                self._port,
                backlog=_BACKLOG,
                ssl=self._certificate.context if self._certificate else None,
            )
        except OSError as error:
            where = f"{self._address} port {self._port}"
            raise FailedPrecondition(f"streaming.address, streaming.port: cannot listen on {where}: {error}") from error
        self._port = self._listener.sockets[0].getsockname()[1]
        if self._certificate is not None:
            self._renewing = self._tasks.spawn(self._renew(self._certificate), name="certificate", endless=True)
        log.info("streaming", extra={"address": self._address, "port": self._port})

    def url(self, request: StreamRequest) -> str:
        """A URL that serves the request once, within a minute. CriError says why it cannot be served."""
        admitted = self._service.admit(request)
        host = _ANY.get(self._address, self._address)
        host = f"[{host}]" if ":" in host else host
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{host}:{self._port}/{_KINDS[type(admitted)]}/{self._tokens.mint(admitted)}"

    async def stop(self) -> None:
        """Close the listener and end every session; what they had opened is given back."""
        if self._listener is not None:
            self._listener.close()
        if self._renewing is not None:
            self._renewing.cancel()
        for session in tuple(self._sessions):
            session.cancel()
        if self._sessions:
            await asyncio.wait(tuple(self._sessions), timeout=_STOPPING)
        for link in tuple(self._links):
            link.abort()

    async def _renew(self, certificate: Certificate) -> None:
        while True:
            await asyncio.sleep(_RENEWING)
            await asyncio.to_thread(certificate.refresh)

    def _greet(self, link: Link) -> Handshake:
        self._links.add(link)
        return Handshake(link, self._decide, self._upgraded)

    def _decide(self, request: RequestReceived) -> Decision:
        if len(self._links) > self._connections:
            return Refusal(503, f"{self._connections} streaming clients are connected already; try again later\n")
        kind, token = token_of(request.target)
        wish = self._tokens.take(token)
        if wish is None or _KINDS[type(wish)] != kind:
            return Refusal(404, "this URL is not known, was used already, or is older than a minute: ask for another\n")
        upgrade = upgrade_for(wish, request)
        return upgrade if isinstance(upgrade, Refusal) else (wish, upgrade)

    def _upgraded(self, link: Link, wish: StreamRequest, upgrade: Upgrade, data: bytes) -> None:
        session = open_session(link, wish, upgrade, self._service)
        link.hand_over(session)
        session.begin(data)
        task = self._tasks.spawn(session.run(), name=f"streaming {_KINDS[type(wish)]}", endless=True)
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        task.add_done_callback(lambda done: link.abort() if done.cancelled() or done.exception() else None)
