"""Whether an answer reached its caller: asked where a lost answer must not count (see `lifecycle.deliveries`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def on_delivery(context: Any, then: Callable[[], None]) -> None:
    """Call `then` once the RPC has ended with its answer sent, not when the caller had given up before."""

    def ended(_: object) -> None:
        # Of an RPC whose caller gives up, grpc.aio says that it is neither done nor cancelled.
        if context.done() and not context.cancelled():
            then()

    context.add_done_callback(ended)
