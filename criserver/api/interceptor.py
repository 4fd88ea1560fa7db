"""Around every RPC: its name in the log context, errors turned into statuses, a readable line for each that failed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio

from criserver.api.status import status
from criserver.errors import CriError
from criserver.observe.context import log_context

log = logging.getLogger("criserver.rpc")

# Asked of a server all the time about things that may not be there: not worth a warning.
QUIET = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED})


class Statuses(grpc.aio.ServerInterceptor):
    """Wraps unary and server-streaming handlers alike."""

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of the method, wrapped."""
        handler = await continuation(details)
        if handler is None:
            return None
        method = details.method.rsplit("/", 1)[-1]
        if handler.response_streaming:
            return handler._replace(unary_stream=_streaming(method, handler.unary_stream))
        return handler._replace(unary_unary=_unary(method, handler.unary_unary))


def _unary(method: str, inner: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(request: Any, context: Any) -> Any:
        began = time.monotonic()
        with log_context(rpc=method):
            try:
                answer = await inner(request, context)
            except grpc.aio.AbortError:
                raise
            except BaseException as error:
                await _fail(error, context, began)
            log.debug("done", extra={"took": _milliseconds(began)})
            return answer

    return call


def _streaming(method: str, inner: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    async def call(request: Any, context: Any) -> Any:
        began = time.monotonic()
        with log_context(rpc=method):
            try:
                async for item in inner(request, context):
                    yield item
            except (grpc.aio.AbortError, GeneratorExit):
                raise
            except asyncio.CancelledError:  # how a caller ends a stream that has no end of its own
                log.debug("the caller hung up", extra={"took": _milliseconds(began)})
                raise
            except BaseException as error:
                await _fail(error, context, began)

    return call


async def _fail(error: BaseException, context: Any, began: float) -> NoReturn:
    code, message = status(error)
    known = isinstance(error, CriError | asyncio.CancelledError)
    level = logging.ERROR if not known else logging.DEBUG if code in QUIET else logging.WARNING
    fields = {"code": code.name, "took": _milliseconds(began)}
    log.log(level, "failed: %s", message, extra=fields, exc_info=None if known else error)
    if isinstance(error, asyncio.CancelledError):
        raise error
    await context.abort(code, message)
    raise error  # not reached: abort raises


def _milliseconds(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.1f}ms"
