"""A collector of spans: a real OTLP receiver over gRPC, in the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages

METHOD = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass
class Collector:
    """`spans` by name, and the resource's attributes of the last request."""

    port: int = 0
    spans: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, str] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def export(self, request: Any, _: Any) -> Any:
        with self.news:
            for each in request.resource_spans:
                self.resource = {pair.key: pair.value.string_value for pair in each.resource.attributes}
                self.spans |= {span.name: span for scope in each.scope_spans for span in scope.spans}
            self.news.notify_all()
        return messages.ExportTraceServiceResponse()

    def wait(self, name: str, seconds: float = 30) -> Any:
        """The span of that name, once it has come."""
        deadline = time.monotonic() + seconds
        with self.news:
            while name not in self.spans:
                assert self.news.wait(max(0.0, deadline - time.monotonic())), f"no span {name}: {sorted(self.spans)}"
            return self.spans[name]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A running one."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(
        collector.export,
        messages.ExportTraceServiceRequest.FromString,
        messages.ExportTraceServiceResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD, {"Export": handler}),))
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


def attributes(span: Any) -> dict[str, str]:
    """The attributes of a span that are text."""
    return {pair.key: pair.value.string_value for pair in span.attributes}
