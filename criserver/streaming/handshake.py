"""The first words on a streaming connection: one HTTP request with a token, answered by an upgrade or a refusal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from criserver.lifecycle.running.streams import StreamRequest
from criserver.streaming.link import Link
from criserver.streaming.wire.http1 import HttpConnection, RequestReceived
from criserver.streaming.wire.machine import NEED_DATA, RemoteProtocolError
from criserver.streaming.wire.upgrade import Refusal, Upgrade

log = logging.getLogger(__name__)

_PATIENCE: Final = 10.0
"""Seconds that a client gets for its request."""

Decision = tuple[StreamRequest, Upgrade] | Refusal
"""What a request gets."""


class Handshake:
    """The first speaker on a link."""

    def __init__(
        self,
        link: Link,
        decide: Callable[[RequestReceived], Decision],
        upgraded: Callable[[Link, StreamRequest, Upgrade, bytes], None],
    ) -> None:
        """`decide` says what a request gets; `upgraded` takes the link on, with what came behind the request."""
        self._link, self._decide, self._upgraded = link, decide, upgraded
        self._http = HttpConnection()
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, link.abort)

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._http.receive_data(data)
        try:
            request = self._http.next_event()
        except RemoteProtocolError as error:
            self._refuse(error.farewell)
            return
        if request is not NEED_DATA:
            self._answer(request)

    def writable(self, on: bool) -> None:
        """Answers are small."""

    def lost(self, reason: str) -> None:
        """The client is gone."""
        self._timer.cancel()

    def _answer(self, request: RequestReceived) -> None:
        decision = self._decide(request)
        if isinstance(decision, Refusal):
            log.info("streaming request refused: %s", decision.text.strip())
            self._refuse(self._http.refuse(decision.status, decision.text, decision.headers))
            return
        self._timer.cancel()
        wish, upgrade = decision
        self._link.write([self._http.upgrade(upgrade.headers)])
        self._upgraded(self._link, wish, upgrade, self._http.trailing_data)

    def _refuse(self, answer: bytes) -> None:
        self._timer.cancel()
        if answer:
            self._link.write([answer])
        self._link.finish()


def token_of(target: str) -> tuple[str, str]:
    """Kind and token that a request target names, /kind/token; ("", "") for anything else."""
    parts = urlsplit(target).path.split("/")
    return (parts[1], parts[2]) if len(parts) == 3 and not parts[0] else ("", "")
