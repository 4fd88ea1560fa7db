"""Requests in flight, by what they are about: an identical request joins the running one.

A caller that gives up (deadline, disconnect) does not stop an operation: it finishes or undoes itself, and the retry
joins it or finds its result. So a kubelet never reads "name is reserved" (cri-o's and containerd's old pain).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar, cast

from criserver.lifecycle.tasks import Tasks

T = TypeVar("T")
log = logging.getLogger(__name__)


class Operations:
    """The registry of running operations."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def join(
        self, key: Hashable, start: Callable[[], Coroutine[Any, Any, T]], *, endless: bool = False
    ) -> T:
        """The result of the operation under `key`, started by this call unless it runs already.

        Cancelling the caller leaves the operation running; `endless` as for a task.
        """
        task = self._running.get(key)
        if task is None:
            task = self._start(key, start, quiet=True, endless=endless)
        try:
            return cast(T, await asyncio.shield(task))
        except asyncio.CancelledError:
            task.add_done_callback(_tell)
            raise

    def begin(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Start an operation that nobody waits for, a stop of the server neither, unless one under `key` runs.

        Its failure is logged.
        """
        if key not in self._running:
            self._start(key, start, quiet=False, endless=True)

    async def settled(self, *prefix: Hashable) -> None:
        """Wait until no operation whose key begins with `prefix` is in flight, however those that are may end."""
        while tasks := [task for key, task in self._running.items() if _begins(key, prefix)]:
            await asyncio.wait(tasks)

    def running(self, key: Hashable) -> bool:
        """Whether an operation under `key` is in flight."""
        return key in self._running

    def _start(
        self, key: Hashable, start: Callable[[], Coroutine[Any, Any, T]], *, quiet: bool, endless: bool = False
    ) -> asyncio.Task[T]:
        task = self._running[key] = self._tasks.spawn(start(), name=str(key), quiet=quiet, endless=endless)
        task.add_done_callback(lambda _: self._running.pop(key, None))
        return task


def _tell(task: asyncio.Task[Any]) -> None:
    """Log how an operation failed whose caller had given up: nobody else may ever hear of it."""
    if not task.cancelled() and (error := task.exception()):
        log.warning("%s failed after its caller had given up: %s", task.get_name(), error)


def _begins(key: Hashable, prefix: tuple[Hashable, ...]) -> bool:
    return isinstance(key, tuple) and key[: len(prefix)] == prefix
