"""The metrics endpoint of a running server, scraped as Prometheus does while pods come and go."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    with serving(base, {"image": pulling, "metrics": {"port": 0}}) as running:
        yield running


def scrape(server: Server) -> dict[tuple[str, ...], float]:
    """Every sample: its name, then its label values in the order of label names."""
    *_, url = re.findall(r'serving metrics url="?(\S+?/metrics)', server.log.read_text())
    with urllib.request.urlopen(url, timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            (each.name, *[each.labels[name] for name in sorted(each.labels)]): each.value
            for family in families
            for each in family.samples
        }


def test_what_happened_is_counted(server: Server, logs: Path) -> None:
    with server.client() as client:
        cri.pull(client)
        config = cri.pod_config("counted", logs)
        pod = cri.run(client, config)
        container = cri.create(client, pod, cri.container_config("main", "sleep", "1000"), config)
        cri.start(client, container)
        with pytest.raises(grpc.RpcError):
            client("ContainerStatus", pb.ContainerStatusRequest(container_id="0" * 64))
        found = scrape(server)
        assert found["criserver_rpc_total", "OK", "RunPodSandbox"] == 1
        assert found["criserver_rpc_total", "NOT_FOUND", "ContainerStatus"] == 1
        assert found["criserver_rpc_duration_seconds_count", "RunPodSandbox"] == 1
        assert 0 < found["criserver_rpc_duration_seconds_sum", "RunPodSandbox"] < 60
        assert found["criserver_pods", "ready"] == found["criserver_containers", "running"] == 1
        assert found["criserver_monitors",] == 1
        assert found["criserver_cni_operation_duration_seconds_count", "ADD", "done"] == 1
        assert found["criserver_cni_plugin_duration_seconds_count", "ADD", "done", "bridge"] == 1
        assert {value for key, value in found.items() if key[0] == "criserver_missing"} == {0}
        assert {value for key, value in found.items() if key[0] == "criserver_leftover"} == {0}
        assert found["process_resident_memory_bytes",] > 1 << 20
        assert found["criserver_operation_duration_seconds_count", "StartContainer", "done"] == 1
        assert found["criserver_stage_duration_seconds_count", "RunPodSandbox", "network"] == 1
        assert found["criserver_pull_duration_seconds_count", "pulled"] == 1
        assert found["criserver_pull_bytes_total",] > 100_000
        cri.remove_pod(client, pod)
        found = scrape(server)
        assert found["criserver_pods", "ready"] == 0
        assert found["criserver_container_exits_total", "exited"] == 1
        assert found["criserver_cni_operation_duration_seconds_count", "DEL", "done"] >= 1
        lag = ("criserver_event_loop_lag_seconds_count",)
        server.wait_until(lambda: scrape(server)[lag] > 0, 30, "the loop's lag to be measured")


def test_a_port_that_is_taken_is_a_clear_error(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server.stop()
        configuration = server.base / "config.yaml"
        before = configuration.read_text()
        configuration.write_text(yaml.safe_dump(yaml.safe_load(before) | {"metrics": {"port": port}}))
        with pytest.raises(AssertionError, match="metrics.port: cannot listen on 127.0.0.1 port"):
            server.start()
        configuration.write_text(before)
    server.start()


def test_what_is_left_over_is_told(server: Server) -> None:
    orphan = server.root / "containers" / ("f" * 64) / "upper"
    orphan.mkdir(parents=True)
    try:
        server.wait_until(lambda: scrape(server)["criserver_leftover", "writable layer"] == 1, 30, "the gauge")
    finally:
        orphan.rmdir()
        orphan.parent.rmdir()
    server.wait_until(lambda: scrape(server)["criserver_leftover", "writable layer"] == 0, 30, "the gauge")
