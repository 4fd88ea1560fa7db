"""The server and the kubelet are killed, again and again, under Deployments that roll and scale: containers live on."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import await_clean, namespace, running
from tests.support.cluster import nodes, processes, runtimes
from tests.support.cluster.kube import Kube
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import PAUSE, container, workload

SECONDS = float(os.environ.get("CHAOS_SECONDS", "300"))
SERVER_KILLS, KUBELET_KILLS = round(SECONDS / 15), round(SECONDS / 60)
PODS = 10
PROBES: dict[str, dict[str, Any]] = {
    "exec": {"exec": {"command": ["test", "-e", "/bin/sh"]}},
    "http": {"httpGet": {"path": "/", "port": 8080}},
    "tcp": {"tcpSocket": {"port": 8080}},
}
SERVE = f"mkdir /www; echo hello >/www/index.html; httpd -p 8080 -h /www; {PAUSE}"

pytestmark = pytest.mark.timeout(SECONDS * 3 + 600)


@pytest.fixture(scope="module")
def shaken(images: list[Path]) -> Iterator[Cluster]:
    """A cluster of this test's own: its server's log is part of what it shows."""
    with running(images) as cluster:
        yield cluster


class Watcher(threading.Thread):
    """Looks at every pod all the time: what restarted, and why."""

    def __init__(self, kube: Kube) -> None:
        super().__init__(daemon=True)
        self._kube, self.restarted, self.seen, self.over = kube, dict[str, Any](), set[str](), threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.5):
            for item in self._kube.api("pods")["items"]:
                self.seen.add(item["metadata"]["name"])
                for status in item["status"].get("containerStatuses", ()):
                    if _ran_before(status):
                        self.restarted[item["metadata"]["name"]] = status


def _ran_before(status: Any) -> bool:
    """Whether a container was started again. One that was created, and not started when kubelet or server died, counts
    with the kubelet too, though nothing ever ran: it has no time of its start."""
    started = status["lastState"].get("terminated", {}).get("startedAt") or "1970"
    return not started.startswith("1970")


def test_nothing_restarts_and_nothing_is_left(shaken: Cluster) -> None:
    with namespace(shaken, "chaos") as kube:
        for name, probe in PROBES.items():
            often = {**probe, "periodSeconds": 2, "timeoutSeconds": 10, "failureThreshold": 5}
            main = container("main", SERVE, readinessProbe=often, livenessProbe=often)
            kube.apply(workload("Deployment", name, main, replicas=PODS))
        for name in PROBES:
            kube("rollout", "status", f"deployment/{name}", "--timeout=180s", seconds=200)
        watcher = Watcher(kube)
        watcher.start()
        _shake(shaken, kube)
        for name in PROBES:
            kube("scale", f"deployment/{name}", f"--replicas={PODS}")
            kube("rollout", "status", f"deployment/{name}", "--timeout=180s", seconds=200)
            kube("wait", "--for=condition=Available", f"deployment/{name}", "--timeout=60s")
        watcher.over.set()
        watcher.join()
        assert not watcher.restarted
        assert len(watcher.seen) > 3 * PODS
        changed = [event for event in kube.api("events")["items"] if event["reason"] == "SandboxChanged"]
        assert not changed, changed[0]
    await_clean(shaken, 240)


def _shake(cluster: Cluster, kube: Kube) -> None:
    """Kill at random moments, and change the Deployments in between."""
    chance, node = random.Random(7), cluster.nodes[0]
    end = time.monotonic() + SECONDS
    plan = [(chance.uniform(0, SECONDS), "server") for _ in range(SERVER_KILLS)]
    plan += [(chance.uniform(0, SECONDS), "kubelet") for _ in range(KUBELET_KILLS)]
    for moment, what in sorted(plan):
        while time.monotonic() < end - SECONDS + moment:
            _change(kube, chance)
            time.sleep(chance.uniform(0, 2))
        if what == "server":
            processes.stop(cluster, runtimes.name(node), how=signal.SIGKILL)
            runtimes.run(node)
        else:
            processes.stop(cluster, f"{node.name}-kubelet", how=signal.SIGKILL)
            nodes.run_kubelet(node)


def _change(kube: Kube, chance: random.Random) -> None:
    name = chance.choice(list(PROBES))
    if chance.random() < 0.3:
        kube("set", "env", f"deployment/{name}", f"GENERATION={chance.randrange(1 << 30)}")
    else:
        kube("scale", f"deployment/{name}", f"--replicas={chance.randint(PODS // 2, PODS)}")
