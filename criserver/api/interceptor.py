"""Around every RPC: its name in the log context, errors turned into statuses, a readable line for each that failed.

Each call is counted, with its time and status.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio

from criserver.api.status import status
from criserver.errors import CriError, Ended
from criserver.observe.context import log_context
from criserver.observe.metrics import Metrics
from criserver.observe.trace import parent_of, traceparent

log = logging.getLogger("criserver.rpc")

# Asked of a server all the time about things that may not be there: not worth a warning.
QUIET = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED})
CANCELLED = grpc.StatusCode.CANCELLED.name


class Statuses(grpc.aio.ServerInterceptor):
    """Wraps unary and server-streaming handlers alike."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of the method, wrapped."""
        handler = await continuation(details)
        if handler is None:
            return None
        method = details.method.rsplit("/", 1)[-1]
        traceparent.set(parent_of(details.invocation_metadata or ()))  # of this request's task alone
        if handler.response_streaming:
            return handler._replace(unary_stream=_streaming(method, handler.unary_stream, self._metrics))
        return handler._replace(unary_unary=_unary(method, handler.unary_unary, self._metrics))


def _unary(
    method: str, inner: Callable[[Any, Any], Awaitable[Any]], metrics: Metrics
) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(request: Any, context: Any) -> Any:
        with log_context(rpc=method), _counted(metrics, method) as counted:
            try:
                answer = await inner(request, context)
            except grpc.aio.AbortError:
                counted.code = _told(context)
                raise
            except BaseException as error:
                await _fail(error, context, counted)
            log.debug("done", extra={"took": counted.took})
            return answer

    return call


def _streaming(method: str, inner: Callable[[Any, Any], Any], metrics: Metrics) -> Callable[[Any, Any], Any]:
    async def call(request: Any, context: Any) -> Any:
        with log_context(rpc=method), _counted(metrics, method) as counted:
            try:
                async for item in inner(request, context):
                    yield item
            except grpc.aio.AbortError:
                counted.code = _told(context)
                raise
            except GeneratorExit:
                counted.code = CANCELLED
                raise
            except asyncio.CancelledError:  # how a caller ends a stream that has no end of its own
                counted.code = CANCELLED
                log.debug("the caller hung up", extra={"took": counted.took})
                raise
            except BaseException as error:
                await _fail(error, context, counted)

    return call


@dataclass(slots=True)
class _Counted:
    """A call that runs: since when, and the status that it will have."""

    began: float
    code: str = "OK"

    @property
    def took(self) -> str:
        return f"{(time.monotonic() - self.began) * 1000:.1f}ms"


@contextmanager
def _counted(metrics: Metrics, method: str) -> Iterator[_Counted]:
    call = _Counted(time.monotonic())
    metrics.rpcs.began(method)
    try:
        yield call
    finally:
        metrics.rpcs.ended(method, call.code, time.monotonic() - call.began)


def _told(context: Any) -> str:
    """The status that a handler has aborted with."""
    code = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN.name


async def _fail(error: BaseException, context: Any, call: _Counted) -> NoReturn:
    code, message = status(error)
    call.code = code.name
    known = isinstance(error, CriError | asyncio.CancelledError)
    quiet = code in QUIET or isinstance(error, Ended)
    level = logging.ERROR if not known else logging.DEBUG if quiet else logging.WARNING
    fields = {"code": code.name, "took": call.took}
    log.log(level, "failed: %s", message, extra=fields, exc_info=None if known else error)
    if isinstance(error, asyncio.CancelledError):
        raise error
    await context.abort(code, message)
    raise error  # not reached: abort raises
