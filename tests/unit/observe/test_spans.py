"""Spans as a real collector gets them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from criserver.errors import FailedPrecondition
from criserver.observe.spans import Spans
from criserver.observe.timings import Asked, Stage
from criserver.observe.trace import Trace, parent_of
from tests.support.otlp import Collector, attributes, collecting

SECOND = 1_000_000_000
BEGAN = 1_764_000_000 * SECOND
TRACE_ID, SPAN_ID = "a" * 32, "b" * 16
SAMPLED, NOT_SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01", f"00-{TRACE_ID}-{SPAN_ID}-00"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def trace(parent: str = "", error: str = "") -> Trace:
    stages = (
        Stage("namespaces", 0.0, 0.25, asked=(Asked("namespace", "unshare(CLONE_NEWNET)", 0.125),)),
        Stage("network", 0.25, 0.5, failed=bool(error)),
    )
    return Trace("RunPodSandbox", "shop/web", "f" * 64, BEGAN, 1.0, "main", "c1", error, parent, stages)


def test_an_operation_and_its_stages(collector: Collector) -> None:
    spans = Spans(f"127.0.0.1:{collector.port}", per_million=1_000_000, version="1.2")
    spans.export(trace())
    spans.close()
    root, namespaces, network = (collector.wait(name) for name in ("RunPodSandbox", "namespaces", "network"))
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (BEGAN, BEGAN + SECOND)
    assert network.start_time_unix_nano == BEGAN + SECOND // 4
    assert network.end_time_unix_nano == BEGAN + 3 * SECOND // 4
    assert namespaces.parent_span_id == network.parent_span_id == root.span_id
    assert namespaces.trace_id == network.trace_id == root.trace_id
    assert root.parent_span_id == b""
    assert attributes(root) == {
        "k8s.namespace.name": "shop", "k8s.pod.name": "web", "k8s.container.name": "main", "container.id": "c1",
        "criserver.sandbox.id": "f" * 64,
    }  # fmt: skip
    (event,) = namespaces.events
    assert (event.name, attributes(event), event.time_unix_nano) == (
        "namespace", {"asked": "unshare(CLONE_NEWNET)"}, BEGAN + SECOND // 8,
    )  # fmt: skip
    assert collector.resource["service.name"] == "criserver"
    assert collector.resource["service.version"] == "1.2"


def test_the_callers_trace_is_continued_and_it_decides(collector: Collector) -> None:
    spans = Spans(f"http://127.0.0.1:{collector.port}", per_million=0)
    spans.export(trace())
    spans.export(trace(NOT_SAMPLED))
    spans.export(trace(SAMPLED))
    spans.close()
    root = collector.wait("RunPodSandbox")
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
    assert collector.wait("network").trace_id.hex() == TRACE_ID


@pytest.mark.parametrize("parent", ["", NOT_SAMPLED])
def test_nothing_is_sent_of_what_nobody_samples(collector: Collector, parent: str) -> None:
    spans = Spans(f"127.0.0.1:{collector.port}", per_million=0)
    spans.export(trace(parent))
    spans.close()
    assert collector.spans == {}


def test_a_failure_is_told(collector: Collector) -> None:
    spans = Spans(f"127.0.0.1:{collector.port}", per_million=1_000_000)
    spans.export(trace(error="no address left"))
    spans.close()
    root, network = collector.wait("RunPodSandbox"), collector.wait("network")
    assert root.status.message == network.status.message == "no address left"
    assert root.status.code == network.status.code == 2
    assert collector.wait("namespaces").status.code == 0


def test_a_collector_that_is_not_there_makes_nobody_wait(caplog: pytest.LogCaptureFixture) -> None:
    spans = Spans("127.0.0.1:1", per_million=1_000_000)
    began = time.monotonic()
    for _ in range(100):
        spans.export(trace())
    assert time.monotonic() - began < 2
    spans.close()
    assert time.monotonic() - began < 20


def test_missing_packages_are_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(FailedPrecondition, match=r"tracing\.endpoint: .*criserver\[otel\]"):
        Spans("127.0.0.1:1", per_million=0)


@pytest.mark.parametrize(
    ("metadata", "parent"),
    [
        ([], ""),
        ([("user-agent", "x"), ("traceparent", SAMPLED)], SAMPLED),
        ([("traceparent", SAMPLED.encode())], ""),
        ([("traceparent", SAMPLED + "\n")], ""),
        ([("traceparent", "01-" + SAMPLED[3:])], ""),
        ([("traceparent", "00-xyz")], ""),
    ],
)
def test_a_parent_is_taken_from_metadata_when_it_is_one(metadata: list[tuple[str, str | bytes]], parent: str) -> None:
    assert parent_of(metadata) == parent
