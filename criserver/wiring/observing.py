"""What the server tells of itself: its metrics, who counts for them, and where they are scraped."""

from __future__ import annotations

import asyncio

from criserver import __version__
from criserver.config.schema import Config, TracingConfig
from criserver.drivers.monitors.monitor import ConmonMonitors
from criserver.kernel.offload import offload
from criserver.lifecycle.images.images import ImageService
from criserver.lifecycle.mending.check import Checker
from criserver.lifecycle.reports.census import Census
from criserver.lifecycle.reports.events import Events
from criserver.lifecycle.reports.traces import Traces
from criserver.lifecycle.tasks import Tasks
from criserver.observe.endpoint import Endpoint
from criserver.observe.metrics import Metrics
from criserver.observe.spans import Spans
from criserver.state.containers import Containers
from criserver.state.db import Database
from criserver.state.sandboxes import Sandboxes
from criserver.state.traces import Traces as TraceRows

LAG_SECONDS = 0.5  # between two looks at how late the event loop runs


class Observing:
    """Metrics and traces; the metrics endpoint, if there is one, and what is measured for it alone.

    `count` tells what there is to count, once it is built.
    """

    def __init__(self, config: Config, database: Database, tasks: Tasks) -> None:
        section, self._tasks = config.metrics, tasks
        self.metrics = Metrics(version=__version__)
        self._spans = _spans(config.tracing)
        export = self._spans.export if self._spans else None
        self.traces = Traces(TraceRows(database), tasks, self.metrics, export)
        self._census: Census | None = None
        self._endpoint = (
            None if section.port is None else Endpoint(self.text, address=section.address, port=section.port)
        )
        self._lag: asyncio.Task[None] | None = None

    def count(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        events: Events,
        check: Checker,
        images: ImageService,
        monitors: ConmonMonitors,
    ) -> None:
        """Let gauges tell of these."""
        count, living = lambda: len(images.list()), monitors.living
        self._census = Census(sandboxes, containers, events, self._tasks, check.kernel, count, living, self.metrics)

    async def start(self) -> None:
        """Listen, if it is configured; FailedPrecondition when the address or port cannot be had."""
        if self._endpoint is not None:
            await self._endpoint.start()
            self._lag = self._tasks.spawn(self._measure_lag(), name="event loop lag", endless=True)

    async def stop(self) -> None:
        """Close the endpoint, and send the last spans."""
        if self._lag is not None:
            self._lag.cancel()
        if self._endpoint is not None:
            self._endpoint.stop()
        if self._spans is not None:
            await offload(self._spans.close)

    async def text(self) -> bytes:
        """Every metric as it is now, in Prometheus' text format."""
        if self._census is not None:
            await self._census.take()
        return await offload(self.metrics.text)

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.metrics.events.lagged(max(0.0, loop.time() - due))


def _spans(section: TracingConfig) -> Spans | None:
    if not section.endpoint:
        return None
    return Spans(section.endpoint, per_million=section.sampling_rate_per_million, version=__version__)
