"""Handler of GetContainerEvents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeAlias

from criserver.api.convert import events as convert
from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.reports.events import Events

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class EventHandlers:
    """GetContainerEvents."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def GetContainerEvents(
        self, _: pb.GetEventsRequest, context: Context
    ) -> AsyncIterator[pb.ContainerEventResponse]:
        """Changes from now on, until the caller hangs up or the server stops.

        The headers go at once: whoever has them misses nothing that happens afterwards.
        """
        with self._events.listen() as listener:
            await context.send_initial_metadata(())
            async for event in listener:
                yield convert.event(event)
