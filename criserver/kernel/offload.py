"""Blocking calls off the event loop, in small dedicated thread pools.

A call that has begun cannot be stopped. So a cancelled caller waits for it to end before the cancellation goes on:
whoever undoes the step then never races with it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """A bounded number of threads that run blocking functions for coroutines. Threads start when first needed."""

    def __init__(self, name: str, threads: int) -> None:
        """`name` begins the threads' names; `threads` bounds how many calls run at a time."""
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in the pool and return what it returns. When cancelled, wait for it to end first."""
        submitted = self._submit(function, *args, **kwargs)
        running = asyncio.wrap_future(submitted)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if not submitted.cancel():  # It has begun.
                await _ended(running)
            raise

    async def surely(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As a call, but run also when the caller is cancelled before it has begun: for what takes something back."""
        running = asyncio.wrap_future(self._submit(function, *args, **kwargs))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await _ended(running)
            raise

    def begin(self, function: Callable[[], None]) -> None:
        """Run `function` in the pool and do not wait for it: upkeep that does not fail."""
        self._executor.submit(function)

    def _submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        # With the caller's context: what the function logs and notes belongs to the caller's pod and stage.
        context = contextvars.copy_context()
        return self._executor.submit(lambda: context.run(function, *args, **kwargs))


# Enough for the mounts, unlinks and cgroup files of a few pods at once; more threads would only fight over the
# interpreter lock and the kernel's own locks.
offload = Pool("kernel", 8)


async def _ended(running: asyncio.Future[T]) -> None:
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            continue
    if not running.cancelled():
        running.exception()  # Taken note of: the caller has gone, its undo runs whatever came of the call.
