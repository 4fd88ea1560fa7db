from __future__ import annotations

import asyncio

from criserver.streaming.pumps import Pressure
from criserver.streaming.stdin import AttachedStdin
from tests.support.streaming import FakeAttachment


async def test_what_came_before_is_written_in_order_then_the_end() -> None:
    held: list[bool] = []
    stdin, attachment = AttachedStdin(Pressure(held.append, high=400)), FakeAttachment()
    stdin.feed(b"one ")
    stdin.feed(memoryview(b"two "))
    assert held == [True]
    writing = asyncio.get_running_loop().create_task(stdin.write_to(attachment))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert held == [True, False]
    stdin.feed(b"three")
    stdin.end()
    stdin.feed(b"after the end")
    await asyncio.wait_for(writing, 5)
    assert attachment.stdin == b"one two three"
    assert attachment.eof.is_set()


async def test_a_container_that_is_gone_takes_no_more() -> None:
    held: list[bool] = []
    stdin, attachment = AttachedStdin(Pressure(held.append, high=400)), FakeAttachment()
    attachment.broken = True
    stdin.feed(b"x")
    stdin.feed(b"y")
    await asyncio.wait_for(stdin.write_to(attachment), 5)
    stdin.feed(b"z" * 1000)
    assert held == [True, False]
