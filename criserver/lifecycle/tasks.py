"""The one place that starts background tasks: each is named, kept from being collected, and its failure logged."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")
S = TypeVar("S")
log = logging.getLogger(__name__)


class Tasks:
    """Running background tasks of one server."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._endless: set[asyncio.Task[Any]] = set()

    def spawn(
        self, coroutine: Coroutine[Any, Any, T], name: str, *, quiet: bool = False, endless: bool = False
    ) -> asyncio.Task[T]:
        """Start a task; a failure nobody awaits is logged, unless `quiet` says that its awaiter tells it.

        A quiet task works for its awaiter and has its log context; any other has none but its own. An `endless` one
        waits for what may never happen: a stop of the server does not wait for it.
        """
        context = None if quiet else contextvars.Context()
        task = asyncio.get_running_loop().create_task(coroutine, name=name, context=context)
        (self._endless if endless else self._running).add(task)
        task.add_done_callback(lambda done: self._settled(done, quiet))
        return task

    @property
    def count(self) -> int:
        """How many are running, the endless ones included."""
        return len(self._running) + len(self._endless)

    async def drain(self, seconds: float) -> int:
        """Wait for running tasks but the endless ones, at most `seconds`; returns how many are still running."""
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=seconds)
        return len(self._running)

    def _settled(self, task: asyncio.Task[Any], quiet: bool) -> None:
        self._running.discard(task)
        self._endless.discard(task)
        if not task.cancelled() and (error := task.exception()) and not quiet:
            log.error("background task %s failed: %s", task.get_name(), error, exc_info=error)


async def together(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, S]) -> tuple[T, S]:
    """Both results; when one fails the other is waited for all the same, so that an undo never races with it."""
    results = await asyncio.gather(first, second, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(tuple[T, S], tuple(results))


async def all_together(*works: Coroutine[Any, Any, None]) -> None:
    """Until all have ended. The first failure ends the others, and is raised when they are gone."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def to_the_end(undo: Coroutine[Any, Any, None]) -> None:
    """Run what takes something back, whoever is cancelled meanwhile: a sibling that fails as well, for example."""
    task, cancelled = asyncio.get_running_loop().create_task(undo), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
