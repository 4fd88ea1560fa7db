import asyncio

from criserver.observe.context import current, log_context


def test_blocks_nest_and_end() -> None:
    with log_context(pod="ns/a", container=""):
        with log_context(container="c", pod="ns/b"):
            assert current() == {"pod": "ns/b", "container": "c"}
        assert current() == {"pod": "ns/a"}
    assert current() == {}


async def test_tasks_have_their_own() -> None:
    async def seen(name: str) -> str:
        with log_context(pod=name):
            await asyncio.sleep(0)
            return current()["pod"]

    assert [*await asyncio.gather(seen("a"), seen("b"))] == ["a", "b"]
    assert current() == {}


async def test_a_task_inherits_what_it_was_started_in() -> None:
    async def seen() -> str:
        return current()["pod"]

    with log_context(pod="a"):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(seen())
    assert task.result() == "a"
