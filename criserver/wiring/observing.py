"""What the server tells of itself: its metrics, who counts for them, and where they are scraped."""

from __future__ import annotations

import asyncio

from criserver.config.schema import MetricsConfig
from criserver.kernel.offload import offload
from criserver.lifecycle.census import Census
from criserver.lifecycle.tasks import Tasks
from criserver.observe.endpoint import Endpoint
from criserver.observe.metrics import Metrics

LAG_SECONDS = 0.5  # between two looks at how late the event loop runs


class Observing:
    """The metrics endpoint, if there is one, and what is measured for it alone."""

    def __init__(self, section: MetricsConfig, metrics: Metrics, census: Census, tasks: Tasks) -> None:
        self._metrics, self._census, self._tasks = metrics, census, tasks
        self._endpoint = (
            None if section.port is None else Endpoint(self.text, address=section.address, port=section.port)
        )
        self._lag: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, if it is configured; FailedPrecondition when the address or port cannot be had."""
        if self._endpoint is not None:
            await self._endpoint.start()
            self._lag = self._tasks.spawn(self._measure_lag(), name="event loop lag", endless=True)

    def stop(self) -> None:
        """Close it."""
        if self._lag is not None:
            self._lag.cancel()
        if self._endpoint is not None:
            self._endpoint.stop()

    async def text(self) -> bytes:
        """Every metric as it is now, in Prometheus' text format."""
        await self._census.take()
        return await offload(self._metrics.text)

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self._metrics.events.lagged(max(0.0, loop.time() - due))
