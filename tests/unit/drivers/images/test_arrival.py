"""Layers that come, stall and break off: told apart without waiting longer than needed."""

from __future__ import annotations

import asyncio

import pytest

from criserver.drivers.images.arrival import follow
from criserver.drivers.images.unpacker import Answer
from criserver.errors import DataLoss, DeadlineExceeded, InvalidArgument, Unavailable


class Stream:
    """A stream that says nothing unless `speaking`; `end` is how it finishes."""

    fd = -1

    def __init__(self, end: Exception | None = None, *, speaking: bool = False) -> None:
        self.end, self.speaking, self.asked = end, speaking, 0
        self.ended = asyncio.Event()

    def silent(self) -> bool:
        return not self.speaking

    async def finish(self) -> None:
        self.asked += 1
        if self.end is None:
            await self.ended.wait()
        else:
            raise self.end


class Unpacking:
    """The helper at work."""

    def __init__(self) -> None:
        self.position = 0
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def result(self) -> Answer:
        return await asyncio.shield(self.answer)


async def run(stream: Stream, unpacking: Unpacking, stalled: float = 60) -> tuple[Answer, list[int]]:
    heard: list[int] = []
    answer = await asyncio.wait_for(follow(stream, unpacking, heard.append, stalled), 5)  # type: ignore[arg-type]
    return answer, heard


async def test_while_it_moves_nobody_asks() -> None:
    stream, unpacking = Stream(), Unpacking()

    async def move() -> None:
        for _ in range(6):
            await asyncio.sleep(0.15)
            unpacking.position += 10
        unpacking.answer.set_result(Answer(1, 2))

    (answer, heard), _ = await asyncio.gather(run(stream, unpacking), move())
    assert (answer, heard, stream.asked) == (Answer(1, 2), sorted(set(heard)), 0)
    assert len(heard) >= 2


async def test_a_slow_helper_is_no_stalled_stream() -> None:
    stream, unpacking = Stream(speaking=True), Unpacking()
    asyncio.get_running_loop().call_later(1.2, unpacking.answer.set_result, Answer())
    await run(stream, unpacking, stalled=0.3)
    assert stream.asked == 0


async def test_what_broke_the_stream_is_told() -> None:
    with pytest.raises(Unavailable, match="cut"):
        await run(Stream(Unavailable("cut")), Unpacking())


async def test_the_streams_reason_goes_before_the_helpers() -> None:
    stream, unpacking = Stream(Unavailable("cut")), Unpacking()

    async def broken() -> None:
        stream.asked += 1
        unpacking.answer.set_exception(DataLoss("truncated"))
        await asyncio.sleep(0.05)
        raise Unavailable("cut")

    stream.finish = broken  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="cut"):
        await run(stream, unpacking)


async def test_the_helpers_error_alone() -> None:
    stream, unpacking = Stream(), Unpacking()
    stream.ended.set()
    unpacking.answer.set_exception(DataLoss("corrupt"))
    with pytest.raises(DataLoss, match="corrupt"):
        await run(stream, unpacking)


async def test_of_damaged_bytes_the_stream_is_asked_whether_they_are_the_right_ones() -> None:
    stream, unpacking = Stream(DataLoss("wrong digest"), speaking=True), Unpacking()
    unpacking.answer.set_exception(DataLoss("corrupt"))
    with pytest.raises(DataLoss, match="wrong digest"):
        await run(stream, unpacking)


async def test_a_hostile_layer_is_not_read_to_its_end() -> None:
    stream, unpacking = Stream(speaking=True), Unpacking()
    unpacking.answer.set_exception(InvalidArgument("'..' in its name"))
    with pytest.raises(InvalidArgument, match="in its name"):
        await run(stream, unpacking)
    assert stream.asked == 0


async def test_a_stream_that_stalls_is_given_up() -> None:
    stream, unpacking = Stream(), Unpacking()
    unpacking.position = 7
    with pytest.raises(DeadlineExceeded, match="nothing came for 1 s, after 7 bytes"):
        await run(stream, unpacking, stalled=1)
    assert stream.asked == 1
    unpacking.answer.cancel()


async def test_one_that_goes_on_after_a_silence_is_fine() -> None:
    stream, unpacking = Stream(), Unpacking()
    asyncio.get_running_loop().call_later(0.9, stream.ended.set)
    asyncio.get_running_loop().call_later(1.5, unpacking.answer.set_result, Answer(3, 4))
    assert (await run(stream, unpacking))[0] == Answer(3, 4)
    assert stream.asked == 1
