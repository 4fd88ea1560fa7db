import asyncio
import logging

import pytest

from criserver.lifecycle.tasks import Tasks, to_the_end
from criserver.observe.context import current, log_context


async def test_drain_waits_for_what_ends_but_not_for_what_may_never_end() -> None:
    tasks = Tasks()
    done: list[bool] = []

    async def brief() -> None:
        await asyncio.sleep(0.01)
        done.append(True)

    tasks.spawn(brief(), "brief")
    endless = tasks.spawn(asyncio.Event().wait(), "endless", endless=True)
    assert await tasks.drain(30) == 0
    assert done
    endless.cancel()


async def test_drain_tells_how_many_did_not_end() -> None:
    tasks = Tasks()
    running = tasks.spawn(asyncio.Event().wait(), "stuck")
    assert await tasks.drain(0.01) == 1
    running.cancel()


async def test_a_failure_that_nobody_awaits_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()

    async def fail() -> None:
        raise ValueError("words")

    tasks.spawn(fail(), "loud")
    quiet = tasks.spawn(fail(), "quiet", quiet=True)
    with caplog.at_level(logging.ERROR):
        await tasks.drain(30)
    with pytest.raises(ValueError, match="words"):
        await quiet
    assert [record.message for record in caplog.records] == ["background task loud failed: words"]


async def test_only_a_quiet_task_has_the_log_context_of_its_starter() -> None:
    tasks = Tasks()

    async def look() -> object:
        return dict(current())

    with log_context(pod="default/web"):
        quiet, own = tasks.spawn(look(), "quiet", quiet=True), tasks.spawn(look(), "own")
    assert (await quiet, await own) == ({"pod": "default/web"}, {})


async def test_an_undo_comes_to_its_end_although_its_caller_is_cancelled_twice() -> None:
    done, go_on = [], asyncio.Event()

    async def undo() -> None:
        await go_on.wait()
        done.append("undone")

    caller = asyncio.gather(to_the_end(undo()))
    for _ in range(2):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["undone"]
