"""One lock per id, and none when nobody uses it."""

from __future__ import annotations

import asyncio

import pytest

from criserver.lifecycle.locks import Locks


async def test_one_at_a_time_in_the_order_of_asking() -> None:
    locks, order = Locks(), []

    async def work(number: int) -> None:
        async with locks.hold("c1"):
            order.append(f"{number} in")
            await asyncio.sleep(0)
            order.append(f"{number} out")

    await asyncio.gather(*(work(number) for number in range(3)))
    assert order == ["0 in", "0 out", "1 in", "1 out", "2 in", "2 out"]
    assert not locks._locks and not locks._users


async def test_different_ids_do_not_wait_for_each_other() -> None:
    locks = Locks()
    async with asyncio.timeout(30):
        async with locks.hold("c1"), locks.hold("c2"):
            pass


async def test_who_fails_or_gives_up_leaves_the_lock_to_the_next() -> None:
    locks = Locks()
    with pytest.raises(ValueError, match="no"):
        async with locks.hold("c1"):
            raise ValueError("no")
    async with locks.hold("c1"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), locks.hold("c1"):
                raise AssertionError("it is not reentrant")
        assert locks._users == {"c1": 1}
    assert not locks._locks and not locks._users
