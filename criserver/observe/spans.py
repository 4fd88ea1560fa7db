"""Traces as OpenTelemetry spans, sent by OTLP over gRPC: one per operation, below it one per stage.

Only with `tracing.endpoint`, and then the optional packages must be there. A caller's own trace (the kubelet's, by the
traceparent of its request) is continued. Sending is a thread's work: nobody waits for a collector, and spans that a
slow or absent one does not take are dropped.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from criserver.errors import FailedPrecondition
from criserver.observe.timings import Stage
from criserver.observe.trace import Trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

_SECOND: Final = 1_000_000_000
_MILLION: Final = 1_000_000
_FLUSH_MILLISECONDS: Final = 3000


class Spans:
    """The way to one collector."""

    def __init__(self, endpoint: str, *, per_million: int, version: str = "") -> None:
        """`endpoint` is host:port, or a URL whose scheme says whether TLS is used (https) or not (http).

        `per_million` of the operations that no caller traces are exported; where a caller traces, it decides.
        FailedPrecondition when the packages are missing.
        """
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        except ImportError as error:
            raise FailedPrecondition(
                f"tracing.endpoint: {error}: install the optional packages (pip install 'criserver[otel]'), "
                "or leave it empty"
            ) from error
        named = {"service.name": "criserver", "service.version": version, "host.name": platform.node()}
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(per_million / _MILLION)),
            resource=Resource.create(named),
            shutdown_on_exit=False,
        )
        url = endpoint if "://" in endpoint else f"http://{endpoint}"
        exporter = OTLPSpanExporter(endpoint=url, insecure=url.startswith("http://"), timeout=5)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("criserver", version)

    def export(self, trace: Trace) -> None:
        """Queue the spans of an operation that has ended. Does not wait."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        span = self._tracer.start_span(
            trace.operation,
            context=_context(trace.parent),
            kind=SpanKind.SERVER,
            start_time=trace.began,
            attributes=_attributes(trace),
        )
        inside = set_span_in_context(span)
        for stage in trace.stages if span.is_recording() else ():
            self._stage(trace, stage, inside)
        if trace.error:
            _fail(span, trace.error)
        span.end(trace.began + int((trace.took or 0.0) * _SECOND))

    def close(self) -> None:
        """Send what is queued, for some seconds at most, and end the thread. Blocks."""
        self._provider.force_flush(_FLUSH_MILLISECONDS)
        self._provider.shutdown()

    def _stage(self, trace: Trace, stage: Stage, inside: Context) -> None:
        began = trace.began + int(stage.start * _SECOND)
        span = self._tracer.start_span(stage.name, context=inside, start_time=began)
        for asked in stage.asked:
            at = trace.began + int(asked.at * _SECOND)
            span.add_event(asked.kind, {"asked": asked.what}, timestamp=at)
        if stage.failed:
            _fail(span, trace.error)
        span.end(began + int((stage.duration or 0.0) * _SECOND))


def _context(parent: str) -> Context:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent} if parent else {})


def _attributes(trace: Trace) -> dict[str, str]:
    """By the names of OpenTelemetry's semantic conventions (resource/k8s, resource/container)."""
    namespace, _, name = trace.pod.partition("/")
    found = {
        "k8s.namespace.name": namespace,
        "k8s.pod.name": name,
        "criserver.sandbox.id": trace.sandbox_id,
        "k8s.container.name": trace.container,
        "container.id": trace.container_id,
    }
    return {key: value for key, value in found.items() if value}


def _fail(span: Span, words: str) -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR, words)
