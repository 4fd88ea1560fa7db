"""Blocking calls leave the loop alone, and a cancelled caller waits for what has begun."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from criserver.kernel.offload import Pool


async def test_result_and_exception_are_handed_on() -> None:
    pool = Pool("test", 1)
    assert await pool(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await pool(divmod, 7, 0)


async def test_the_loop_runs_meanwhile() -> None:
    pool, released = Pool("test", 1), threading.Event()
    waiting = asyncio.gather(pool(released.wait, 10))
    await asyncio.sleep(0)
    released.set()
    assert (await waiting)[0]


async def test_cancelled_caller_waits_for_a_call_that_has_begun() -> None:
    pool, begun, released, done = Pool("test", 1), threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        released.wait(10)
        done.append(time.monotonic())

    caller = asyncio.gather(pool(work))
    await asyncio.to_thread(begun.wait, 10)
    caller.cancel()
    await asyncio.sleep(0.02)
    assert not caller.done()
    caller.cancel()  # Again: still no way out.
    await asyncio.sleep(0.02)
    assert not caller.done()
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done


async def test_what_takes_something_back_runs_although_its_caller_is_cancelled_before_it_begins() -> None:
    pool, released = Pool("test", 1), threading.Event()
    done: list[str] = []
    before = asyncio.gather(pool(released.wait, 10))
    given_up, undo = asyncio.gather(pool(done.append, "step")), asyncio.gather(pool.surely(done.append, "undo"))
    await asyncio.sleep(0.02)
    given_up.cancel()
    undo.cancel()
    await asyncio.sleep(0.02)
    assert given_up.done() and not undo.done()
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await undo
    assert done == ["undo"] and (await before)[0]


async def test_failure_of_an_abandoned_call_is_not_reported_as_never_retrieved() -> None:
    pool, begun, released = Pool("test", 1), threading.Event(), threading.Event()
    reports: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))

    def work() -> None:
        begun.set()
        released.wait(10)
        raise OSError("late")

    caller = asyncio.gather(pool(work))
    await asyncio.to_thread(begun.wait, 10)
    caller.cancel()
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    assert reports == []


async def test_call_that_has_not_begun_is_never_made() -> None:
    pool, released = Pool("test", 1), threading.Event()
    calls: list[int] = []
    first = asyncio.gather(pool(released.wait, 10))
    second = asyncio.gather(pool(calls.append, 1))
    await asyncio.sleep(0.01)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    released.set()
    await first
    await pool(int)
    assert calls == []


async def test_nobody_waits_for_what_is_only_begun() -> None:
    pool, may, done = Pool("test", 1), threading.Event(), threading.Event()

    def upkeep() -> None:
        may.wait(10)
        done.set()

    pool.begin(upkeep)
    assert not done.is_set()
    may.set()
    await pool(lambda: None)
    assert done.is_set()
