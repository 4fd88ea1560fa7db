from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from cni.aio import Gate, to_the_end


async def test_to_the_end_finishes_in_spite_of_cancellation() -> None:
    steps: list[str] = []
    go_on = asyncio.Event()

    async def work() -> None:
        steps.append("begun")
        await go_on.wait()
        steps.append("done")

    task = asyncio.get_running_loop().create_task(to_the_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["begun", "done"]


async def test_to_the_end_hands_on_result_and_failure() -> None:
    async def fails() -> None:
        raise ValueError("mine")

    assert await to_the_end(asyncio.sleep(0, "value")) == "value"
    with pytest.raises(ValueError, match="mine"):
        await to_the_end(fails())


class Scene:
    """Tasks that hold a gate until they are let go, and a protocol of who got in."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.exits: dict[str, asyncio.Event] = {}

    async def enter(self, name: str, context: AbstractAsyncContextManager[None]) -> None:
        self.exits[name] = asyncio.Event()

        async def hold() -> None:
            async with context:
                self.inside.append(name)
                await self.exits[name].wait()
                self.inside.remove(name)

        self.tasks[name] = asyncio.get_running_loop().create_task(hold())
        await settle()

    async def leave(self, name: str) -> None:
        self.exits[name].set()
        await self.tasks[name]
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_operation_per_container_many_containers() -> None:
    gate, scene = Gate(), Scene()
    await scene.enter("a1", gate.container("a"))
    await scene.enter("a2", gate.container("a"))
    await scene.enter("b", gate.container("b"))
    assert scene.inside == ["a1", "b"]
    await scene.leave("a1")
    assert scene.inside == ["b", "a2"]
    await scene.leave("b")
    await scene.leave("a2")


async def test_collection_is_alone_and_is_not_put_off_for_ever() -> None:
    gate, scene = Gate(), Scene()
    await scene.enter("a", gate.container("a"))
    await scene.enter("gc", gate.collection())
    await scene.enter("b", gate.container("b"))
    assert scene.inside == ["a"]
    await scene.leave("a")
    assert scene.inside == ["gc"]
    await scene.leave("gc")
    assert scene.inside == ["b"]
    await scene.leave("b")


async def test_a_waiter_that_gives_up_holds_nobody_up() -> None:
    gate, scene = Gate(), Scene()
    await scene.enter("a", gate.container("a"))
    await scene.enter("gc", gate.collection())
    await scene.enter("a2", gate.container("a"))
    for name in ("gc", "a2"):
        scene.tasks[name].cancel()
        await settle()
    await scene.enter("b", gate.container("b"))
    assert scene.inside == ["a", "b"]
    await scene.leave("a")
    await scene.enter("a3", gate.container("a"))
    assert scene.inside == ["b", "a3"]
    await scene.leave("b")
    await scene.leave("a3")
