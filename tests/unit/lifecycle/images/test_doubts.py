"""Who needs a layer in doubt waits, and is the first that is looked after."""

from __future__ import annotations

import asyncio

from criserver.lifecycle.images.doubts import Doubts


async def test_without_doubts_nobody_waits() -> None:
    doubts = Doubts()
    assert not doubts.about([1, 2])
    assert doubts.next() is None
    await doubts.settled([1, 2])


async def test_what_somebody_waits_for_comes_first_and_everything_once() -> None:
    doubts = Doubts()
    doubts.begin(range(1, 6))
    assert doubts.next() == 1
    waiting = asyncio.get_running_loop().create_task(doubts.settled([4, 5, 99]))
    await asyncio.sleep(0)
    assert [doubts.next() for _ in range(5)] == [4, 5, 2, 3, None]
    doubts.settle(4)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert doubts.about([4, 5])
    doubts.settle(5)
    await waiting
    assert not doubts.about([4, 5])


async def test_at_the_end_nobody_is_left_waiting() -> None:
    doubts = Doubts()
    doubts.begin([1, 2])
    waiting = asyncio.get_running_loop().create_task(doubts.settled([1, 2]))
    await asyncio.sleep(0)
    doubts.end()
    await waiting
    assert not doubts.about([1, 2])
