"""Spans of a running server, as part of its caller's trace, in a real collector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.otlp import attributes, collecting

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_pods_stages_are_spans_below_the_callers(base: Path, pulling: Mapping[str, str], logs: Path) -> None:
    with collecting() as collector:
        tracing = {"endpoint": f"127.0.0.1:{collector.port}"}
        with serving(base / "otel", {"image": pulling, "tracing": tracing}) as server:
            with grpc.insecure_channel(server.socket) as channel:
                run: Any = channel.unary_unary(
                    "/runtime.v1.RuntimeService/RunPodSandbox",
                    request_serializer=pb.RunPodSandboxRequest.SerializeToString,
                    response_deserializer=pb.RunPodSandboxResponse.FromString,
                )
                request = pb.RunPodSandboxRequest(config=cri.pod_config("traced", logs))
                traceparent = ("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01")
                pod = run(request, metadata=[traceparent], timeout=60).pod_sandbox_id
            server.stop()  # sends what is queued
            root, network = collector.wait("RunPodSandbox"), collector.wait("network")
            assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
            assert network.parent_span_id == root.span_id
            assert attributes(root)["k8s.pod.name"] == "traced"
            assert attributes(root)["criserver.sandbox.id"] == pod
            assert root.start_time_unix_nano <= network.start_time_unix_nano < network.end_time_unix_nano
            assert {event.name for event in network.events} == {"cni"}
            server.start()
