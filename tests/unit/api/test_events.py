import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from criserver.api.events import EventHandlers
from criserver.api.pb import api_pb2 as pb
from criserver.errors import ResourceExhausted
from criserver.lifecycle.reports.events import Events
from tests.support.world import House, pod


class Context:
    """Says when the headers have gone."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()

    async def send_initial_metadata(self, _: object) -> None:
        self.sent.set()


async def take(stream: AsyncIterator[pb.ContainerEventResponse]) -> list[pb.ContainerEventResponse]:
    return [event async for event in stream]


async def test_who_has_the_headers_misses_nothing(house: House) -> None:
    events, context = Events(house.sandboxes, house.containers, house.powers.clock, house.metrics), Context()
    given: Any = context
    listening = asyncio.ensure_future(take(EventHandlers(events).GetContainerEvents(pb.GetEventsRequest(), given)))  # noqa: TID251
    await context.sent.wait()
    sandbox_id = await house.pods.run(pod(), "")
    await asyncio.sleep(0)
    events.close()
    assert [event.container_id for event in await listening] == [sandbox_id, sandbox_id]


async def test_a_listener_that_is_cut_off_is_told(house: House) -> None:
    events, context = Events(house.sandboxes, house.containers, house.powers.clock, house.metrics, backlog=2), Context()
    given: Any = context
    stream = EventHandlers(events).GetContainerEvents(pb.GetEventsRequest(), given)
    first = asyncio.ensure_future(anext(stream))  # noqa: TID251
    await context.sent.wait()
    await house.pods.run(pod("one"), "")
    await first
    await house.pods.run(pod("two"), "")
    with pytest.raises(ResourceExhausted):
        await take(stream)
