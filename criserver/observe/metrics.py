"""What the server counts of itself, for Prometheus: a registry of its own, and a method for each thing that happens.

Counting is cheap enough for every request: it takes some microseconds, and waits for nothing. Times are in seconds.
Labels are names out of this program and its configuration (methods, stages, plugins), never of pods: what a tenant may
choose would fill the registry. Gauges are set just before they are read, by whoever owns the facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

from criserver.observe.timings import Stages

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_CALLS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_WORK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_PULLS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_LAG: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)

# Otherwise each series has another one, of when it began: half as much again to be scraped, that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Every metric of one server, by topic. Safe to use from any thread."""

    def __init__(self, *, version: str = "") -> None:
        registry = self._registry = CollectorRegistry()
        Info("criserver", "The server", registry=registry).info({"version": version})
        ProcessCollector(registry=registry)
        self.rpcs = Rpcs(registry)
        self.operations = Operations(registry)
        self.pulls = Pulls(registry)
        self.network = Network(registry)
        self.events = Events(registry)
        self.gauges = Gauges(registry)

    def text(self) -> bytes:
        """Everything in Prometheus' text format (CONTENT_TYPE). Reads /proc; some milliseconds."""
        return generate_latest(self._registry)


class Rpcs:
    """Calls, by method."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "criserver_rpc", "Calls answered, by gRPC status", ["method", "code"], registry=registry
        )
        self._seconds = Histogram(
            "criserver_rpc_duration_seconds", "From a call's arrival to the end of its answer", ["method"],
            buckets=_CALLS, registry=registry,
        )  # fmt: skip
        self._running = Gauge("criserver_rpc_in_flight", "Calls not answered yet", ["method"], registry=registry)

    def began(self, method: str) -> None:
        """A call has come in."""
        self._running.labels(method).inc()

    def ended(self, method: str, code: str, seconds: float) -> None:
        """A call was answered with the gRPC status `code`, by its name."""
        self._running.labels(method).dec()
        self._answered.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)


class Operations:
    """Operations and their stages: RunPodSandbox and its network; however many calls shared one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "criserver_operation_duration_seconds", "Operations, however many calls shared them",
            ["operation", "outcome"], buckets=_WORK, registry=registry,
        )  # fmt: skip
        self._stages = Histogram(
            "criserver_stage_duration_seconds", "Stages of operations; they may overlap", ["operation", "stage"],
            buckets=_WORK, registry=registry,
        )  # fmt: skip
        self._slow = Counter(
            "criserver_slow_stages", "Stages that took much longer than usual", ["operation", "stage"],
            registry=registry,
        )  # fmt: skip

    def ended(self, stages: Stages, *, failed: bool) -> None:
        """An operation is over, with the time that each of its stages took."""
        self._seconds.labels(stages.operation, _outcome(failed)).observe(stages.elapsed)
        for stage in stages.stages:
            if stage.duration is not None:
                self._stages.labels(stages.operation, stage.name).observe(stage.duration)

    def slow(self, operation: str, stage: str) -> None:
        """A stage took much longer than it usually does."""
        self._slow.labels(operation, stage).inc()


class Pulls:
    """Pulls of images, however many calls shared one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._running = Gauge("criserver_pulls_in_flight", "Pulls that run", registry=registry)
        self._seconds = Histogram(
            "criserver_pull_duration_seconds", "Pulls, however many calls shared them", ["outcome"],
            buckets=_PULLS, registry=registry,
        )  # fmt: skip
        self._bytes = Counter("criserver_pull_bytes", "Bytes of layers that came in", registry=registry)
        self._retries = Counter(
            "criserver_pull_retries", "Layers and documents that broke off and were fetched again", registry=registry
        )

    def began(self) -> None:
        """A pull that no other request shares has begun."""
        self._running.inc()

    def ended(self, outcome: str, seconds: float) -> None:
        """A pull is over: `outcome` is "pulled", "present" (nothing was to be fetched) or "failed"."""
        self._running.dec()
        self._seconds.labels(outcome).observe(seconds)

    def retried(self) -> None:
        """A layer, or what describes an image, is fetched again after a failure that may pass."""
        self._retries.inc()

    def received(self, count: int) -> None:
        """So many more bytes of layers, as the registry has them, have come in."""
        self._bytes.inc(count)


class Network:
    """CNI: whole attachments, and each call of a plugin."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._operations = Histogram(
            "criserver_cni_operation_duration_seconds", "Pods attached and detached, through every plugin",
            ["operation", "outcome"], buckets=_WORK, registry=registry,
        )  # fmt: skip
        self._plugins = Histogram(
            "criserver_cni_plugin_duration_seconds", "Calls of CNI plugins", ["command", "plugin", "outcome"],
            buckets=_WORK, registry=registry,
        )  # fmt: skip

    def ended(self, operation: str, seconds: float, *, failed: bool) -> None:
        """An attachment's whole ADD or DEL, through every plugin of its list."""
        self._operations.labels(operation, _outcome(failed)).observe(seconds)

    def plugin_ended(self, command: str, plugin: str, seconds: float, *, failed: bool) -> None:
        """One call of a CNI plugin: CNI_COMMAND, and the plugin's type."""
        self._plugins.labels(command, plugin, _outcome(failed)).observe(seconds)


class Events:
    """What happens without being asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._exits = Counter("criserver_container_exits", "Containers that ended", ["how"], registry=registry)
        self._dropped = Counter(
            "criserver_events_dropped", "Events that a listener did not get: it was too slow", registry=registry
        )
        self._lag = Histogram(
            "criserver_event_loop_lag_seconds", "How late the event loop wakes a task", buckets=_LAG, registry=registry
        )

    def exited(self, *, oom_killed: bool, monitor_lost: bool) -> None:
        """A container has ended."""
        self._exits.labels("oom_killed" if oom_killed else "monitor_lost" if monitor_lost else "exited").inc()

    def dropped(self) -> None:
        """A listener of GetContainerEvents did not get an event, for it does not keep up."""
        self._dropped.inc()

    def lagged(self, seconds: float) -> None:
        """So late was a task that had asked the event loop to be woken."""
        self._lag.observe(seconds)


class Gauges:
    """What there is now."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pods = Gauge("criserver_pods", "Pod sandboxes", ["state"], registry=registry)
        self._containers = Gauge("criserver_containers", "Containers", ["state"], registry=registry)
        self._images = Gauge("criserver_images", "Images", registry=registry)
        self._monitors = Gauge("criserver_monitors", "Monitors that live", registry=registry)
        self._listeners = Gauge("criserver_event_listeners", "Listeners of GetContainerEvents", registry=registry)
        self._tasks = Gauge("criserver_background_tasks", "Background tasks of the server", registry=registry)
        self._unfinished = Gauge(
            "criserver_unfinished", "Deletes and undos that were begun and that nobody works on", registry=registry
        )
        self._leftover = Gauge(
            "criserver_leftover", "Things in the kernel or on disk that no pod or container claims", ["kind"],
            registry=registry,
        )  # fmt: skip
        self._missing = Gauge(
            "criserver_missing", "Things that a pod or container claims and that are not there", ["kind"],
            registry=registry,
        )  # fmt: skip

    def pods(self, states: Mapping[str, int]) -> None:
        """How many pods are in each state."""
        _set(self._pods, states)

    def containers(self, states: Mapping[str, int]) -> None:
        """How many containers are in each state."""
        _set(self._containers, states)

    def kernel(self, leftover: Mapping[str, int], missing: Mapping[str, int], *, unfinished: int) -> None:
        """Rows against kernel, by kind of thing: what no row claims, and what a row claims and is not there.

        `unfinished` counts deletes and undos that nobody works on.
        """
        self._unfinished.set(unfinished)
        _set(self._leftover, leftover)
        _set(self._missing, missing)

    def counts(self, *, monitors: int, images: int, listeners: int, tasks: int) -> None:
        """Monitors that live, images, listeners of events, and background tasks."""
        self._monitors.set(monitors)
        self._images.set(images)
        self._listeners.set(listeners)
        self._tasks.set(tasks)


def _outcome(failed: bool) -> str:
    return "failed" if failed else "done"


def _set(gauge: Gauge, values: Mapping[str, int]) -> None:
    gauge.clear()
    for name, value in values.items():
        gauge.labels(name).set(value)
