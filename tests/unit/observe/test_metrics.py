"""What a scrape reads after things have happened, parsed by Prometheus' own parser."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from criserver.observe.metrics import Metrics
from criserver.observe.timings import Stages


def scraped(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample: its name, then its label values in the order of label names."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {(each.name, *_values(each.labels)): each.value for family in families for each in family.samples}


def _values(labels: Mapping[str, str]) -> list[str]:
    return [labels[name] for name in sorted(labels)]


def test_calls() -> None:
    metrics = Metrics()
    metrics.rpcs.began("Status")
    assert scraped(metrics)["criserver_rpc_in_flight", "Status"] == 1
    metrics.rpcs.ended("Status", "OK", 0.004)
    metrics.rpcs.began("Status")
    metrics.rpcs.ended("Status", "UNAVAILABLE", 2.0)
    found = scraped(metrics)
    assert found["criserver_rpc_in_flight", "Status"] == 0
    assert found["criserver_rpc_total", "OK", "Status"] == found["criserver_rpc_total", "UNAVAILABLE", "Status"] == 1
    assert found["criserver_rpc_duration_seconds_sum", "Status"] == 2.004
    assert found["criserver_rpc_duration_seconds_bucket", "0.005", "Status"] == 1


def test_an_operation_and_its_stages() -> None:
    metrics, now = Metrics(), [0.0]
    stages = Stages("RunPodSandbox", clock=lambda: now[0])
    with stages.stage("network"):
        now[0] = 0.05
    metrics.operations.ended(stages, failed=False)
    found = scraped(metrics)
    assert found["criserver_operation_duration_seconds_sum", "RunPodSandbox", "done"] == 0.05
    assert found["criserver_stage_duration_seconds_sum", "RunPodSandbox", "network"] == 0.05
    metrics.operations.slow("RunPodSandbox", "network")
    assert scraped(metrics)["criserver_slow_stages_total", "RunPodSandbox", "network"] == 1


def test_pulls_plugins_exits_and_events() -> None:
    metrics = Metrics()
    metrics.pulls.began()
    metrics.pulls.received(100)
    metrics.pulls.retried()
    metrics.network.plugin_ended("ADD", "bridge", 0.02, failed=True)
    metrics.network.ended("ADD", 0.03, failed=True)
    metrics.events.exited(oom_killed=True, monitor_lost=False)
    metrics.events.dropped()
    metrics.events.lagged(0.002)
    found = scraped(metrics)
    assert found["criserver_pulls_in_flight",] == 1
    assert found["criserver_pull_bytes_total",] == 100
    assert found["criserver_pull_retries_total",] == 1
    assert found["criserver_cni_plugin_duration_seconds_count", "ADD", "failed", "bridge"] == 1
    assert found["criserver_cni_operation_duration_seconds_count", "ADD", "failed"] == 1
    assert found["criserver_container_exits_total", "oom_killed"] == 1
    assert found["criserver_events_dropped_total",] == 1
    assert found["criserver_event_loop_lag_seconds_count",] == 1
    metrics.pulls.ended("pulled", 3.0)
    found = scraped(metrics)
    assert found["criserver_pulls_in_flight",] == 0
    assert found["criserver_pull_duration_seconds_sum", "pulled"] == 3.0


def test_gauges_forget_what_is_no_longer_there() -> None:
    metrics = Metrics(version="1.2")
    metrics.gauges.pods({"ready": 3})
    metrics.gauges.kernel({"root": 1}, {"monitor": 2}, unfinished=8)
    metrics.gauges.counts(monitors=4, images=5, listeners=6, tasks=7)
    found = scraped(metrics)
    assert found["criserver_pods", "ready"] == 3
    assert (found["criserver_leftover", "root"], found["criserver_missing", "monitor"]) == (1, 2)
    assert found["criserver_unfinished",] == 8
    assert (found["criserver_monitors",], found["criserver_images",]) == (4, 5)
    assert (found["criserver_event_listeners",], found["criserver_background_tasks",]) == (6, 7)
    assert found["criserver_info", "1.2"] == 1
    metrics.gauges.pods({"notready": 1})
    assert ("criserver_pods", "ready") not in scraped(metrics)


def test_the_process_itself() -> None:
    found = scraped(Metrics())
    assert found["process_resident_memory_bytes",] > 1 << 20
    assert found["process_open_fds",] > 2
    assert abs(found["process_start_time_seconds",] - time.time()) < 86400


def test_two_servers_of_one_process_share_nothing() -> None:
    first, second = Metrics(), Metrics()
    first.events.dropped()
    assert scraped(second)["criserver_events_dropped_total",] == 0


def test_the_docs_have_every_metric_and_no_other() -> None:
    table = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    documented = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    families = text_string_to_metric_families(Metrics().text().decode())
    there = {each.name + ("_total" if each.type == "counter" else "") for each in families}
    assert documented == {name for name in there if name.startswith("criserver")}


def test_counting_a_call_costs_next_to_nothing() -> None:
    """A bound far above what it takes (some 5 µs), far below what a call takes (some 500 µs)."""
    metrics = Metrics()
    began = time.process_time()
    for _ in range(2000):
        metrics.rpcs.began("Status")
        metrics.rpcs.ended("Status", "OK", 0.001)
    assert (time.process_time() - began) / 2000 < 100e-6
