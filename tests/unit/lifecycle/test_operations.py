import asyncio

import pytest

from criserver.lifecycle.operations import Operations
from criserver.lifecycle.tasks import Tasks


class Work:
    """An operation that ends when told, and counts how often it was begun."""

    def __init__(self) -> None:
        self.begun, self.go = 0, asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        await self.go.wait()
        return f"result {self.begun}"


async def test_an_identical_request_joins_the_running_one() -> None:
    operations, work = Operations(Tasks()), Work()
    both = [asyncio.ensure_future(operations.join(("run", "a"), work)) for _ in range(2)]  # noqa: TID251
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*both) == ["result 1"] * 2
    assert await operations.join(("run", "a"), work) == "result 2", "one that has ended is not joined"


async def test_a_caller_that_gives_up_leaves_the_operation_running() -> None:
    operations, work = Operations(Tasks()), Work()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(operations.join(("run", "a"), work), 0.01)
    assert operations.running(("run", "a"))
    work.go.set()
    assert await operations.join(("run", "a"), work) == "result 1"
    assert not operations.running(("run", "a"))


async def test_settled_waits_for_the_operations_that_begin_so_and_for_no_other() -> None:
    operations, work, other = Operations(Tasks()), Work(), Work()
    joined = asyncio.ensure_future(operations.join(("create", "pod", "a"), work))  # noqa: TID251
    unrelated = asyncio.ensure_future(operations.join(("create", "another", "a"), other))  # noqa: TID251
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(operations.settled("create", "pod"), 0.01)
    work.go.set()
    await operations.settled("create", "pod")
    assert joined.done()
    assert not unrelated.done()
    other.go.set()
    await unrelated


async def test_settled_does_not_mind_how_an_operation_ends() -> None:
    operations = Operations(Tasks())

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("words")

    joined = asyncio.ensure_future(operations.join(("create", "pod"), fail))  # noqa: TID251
    await asyncio.sleep(0)
    await operations.settled("create")
    with pytest.raises(ValueError, match="words"):
        await joined
