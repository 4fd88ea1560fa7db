"""Following a layer while it comes: how far it is, and whether still anything comes.

A stream that has broken may look like a slow one: no byte comes, and no end. So after a short silence it is asked
to finish, which tells why it ended or waits for what is to come. It is asked as well when what came is damaged: that
may not have been the blob.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from criserver.drivers.images.unpacker import Answer, Unpacking
from criserver.errors import DataLoss, DeadlineExceeded
from criserver.ports.registry import BlobStream

_TICK = 0.25
"""Seconds between two looks."""
_SILENCE = 0.5
"""Seconds without a byte after which the stream is asked to finish."""


async def follow(stream: BlobStream, unpacking: Unpacking, moved: Callable[[int], None], stalled: float) -> Answer:
    """The helper's answer about a layer that comes from `stream`; `moved` hears of its position.

    Errors of the stream go before those of the helper, which saw only their effect. DeadlineExceeded when no byte
    came for `stalled` seconds.
    """
    loop = asyncio.get_running_loop()
    answer = loop.create_task(unpacking.result())
    finish: asyncio.Task[None] | None = None
    position, since = 0, loop.time()
    try:
        while not answer.done():
            pending = {answer, finish} if finish and not finish.done() else {answer}
            await asyncio.wait(pending, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
            if finish and finish.done():
                finish.result()
            if position != unpacking.position or not stream.silent():
                position, since = unpacking.position, loop.time()
                moved(position)
            elif loop.time() - since > stalled:
                raise DeadlineExceeded(f"nothing came for {stalled:g} s, after {position} bytes: the pull is given up")
            elif loop.time() - since > _SILENCE and finish is None:
                finish = loop.create_task(stream.finish())
        if finish is None and isinstance(answer.exception(), DataLoss):
            finish = loop.create_task(stream.finish())
        if finish and answer.exception():
            await finish
        return answer.result()
    finally:
        await _ended(answer, finish)


async def _ended(*tasks: asyncio.Task[Answer] | asyncio.Task[None] | None) -> None:
    for task in tasks:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
