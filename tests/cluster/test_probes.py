"""Probes of every kind, hooks at the start and at the end, and what a container says when it goes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.cluster.kube import Kube, container_status, is_ready, restarts
from tests.support.cluster.manifests import agn, container, pod

pytestmark = pytest.mark.timeout(300)

OFTEN = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 2}


@pytest.mark.first
def test_a_pod_is_ready_while_its_exec_probe_succeeds(kube: Kube) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, **OFTEN}
    kube.apply(pod("gate", container(readinessProbe=probe)))
    kube.until("pods/gate", lambda item: container_status(item).get("started"))
    assert not is_ready(kube.pod("gate"))
    kube.exec("gate", "touch", "/tmp/ready")
    kube.ready("gate")
    kube.exec("gate", "rm", "/tmp/ready")
    kube.until("pods/gate", lambda item: not is_ready(item))
    assert restarts(kube.pod("gate")) == 0


@pytest.mark.parametrize(
    ("kind", "server"),
    [
        ({"httpGet": {"path": "/healthz", "port": 8080}}, ("netexec", "--http-port=8080")),
        ({"tcpSocket": {"port": 8080}}, ("netexec", "--http-port=8080")),
        ({"grpc": {"port": 5000}}, ("grpc-health-checking",)),
    ],
    ids=["http", "tcp", "grpc"],
)
def test_a_server_is_probed_over_the_network(kube: Kube, kind: dict[str, Any], server: tuple[str, ...]) -> None:
    probe = {**kind, **OFTEN, "failureThreshold": 30}
    kube.apply(pod("server", agn("main", *server, livenessProbe=probe, readinessProbe=probe)))
    kube.ready("server")
    time.sleep(3)
    assert restarts(kube.pod("server")) == 0


@pytest.mark.first
def test_a_container_whose_liveness_probe_fails_is_started_again(kube: Kube) -> None:
    probe = {"exec": {"command": ["sh", "-c", "echo unwell; exit 1"]}, **OFTEN}
    kube.apply(pod("ill", container(livenessProbe=probe), restartPolicy="Always"))
    kube.until("pods/ill", lambda item: restarts(item) >= 1)
    assert any("unwell" in event for event in kube.events("ill")), kube.events("ill")


def test_a_probe_that_hangs_has_failed(kube: Kube) -> None:
    probe = {"exec": {"command": ["sleep", "60"]}, **OFTEN, "timeoutSeconds": 1}
    kube.apply(pod("slow", container(readinessProbe=probe)))
    kube.until("pods/slow", lambda _: any("timed out" in event for event in kube.events("slow")))
    assert not is_ready(kube.pod("slow"))


def test_a_startup_probe_holds_the_others_back(kube: Kube) -> None:
    startup = {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 60}
    liveness = {"exec": {"command": ["test", "-e", "/tmp/up"]}, **OFTEN}
    late = container("main", "sleep 4; touch /tmp/up; sleep 3600", startupProbe=startup, livenessProbe=liveness)
    kube.apply(pod("late", late, restartPolicy="Always"))
    kube.ready("late")
    assert restarts(kube.pod("late")) == 0


SHARED = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}


def _hooked(name: str, script: str, seconds: int, **hooks: Any) -> dict[str, Any]:
    lifecycle = {when: {"exec": {"command": ["sh", "-c", command]}} for when, command in hooks.items()}
    volumes = [{"name": "shared", "emptyDir": {}}]
    watch = "trap 'sleep 1; cat /shared/said; exit 0' TERM; while :; do sleep 0.1; done"
    watcher = container("watcher", watch, **SHARED)
    main = container("main", script, lifecycle=lifecycle, **SHARED)
    return pod(name, main, watcher, volumes=volumes, terminationGracePeriodSeconds=seconds)


@pytest.mark.first
def test_hooks_run_after_the_start_and_before_the_end(kube: Kube) -> None:
    script = "trap 'echo term >>/shared/said; exit 0' TERM; while :; do sleep 0.1; done"
    hooks = {"postStart": "echo started >>/shared/said", "preStop": "echo stopping >>/shared/said"}
    kube.apply(_hooked("polite", script, 20, **hooks))
    kube.ready("polite")
    assert kube.exec("polite", "cat", "/shared/said", container="main") == "started\n"
    kube("delete", "pod", "polite", "--wait=false")
    said = kube.run("logs", "-f", "polite", "--container=watcher").stdout
    assert said == "started\nstopping\nterm\n"
    kube.delete("pod", "polite")


def test_a_post_start_hook_that_fails_kills_its_container(kube: Kube) -> None:
    kube.apply(_hooked("broken", "sleep 3600", 1, postStart="echo no good; exit 5"))
    kube.until("pods/broken", lambda _: any("FailedPostStartHook" in event for event in kube.events("broken")))
    kube.until("pods/broken", lambda item: "terminated" in container_status(item).get("state", {}))


def test_a_container_that_does_not_listen_is_killed_when_its_grace_is_over(kube: Kube) -> None:
    deaf = container("main", "trap '' TERM; while :; do sleep 1; done")
    kube.apply(pod("deaf", deaf, terminationGracePeriodSeconds=3))
    kube.ready("deaf")
    began = time.monotonic()
    kube.delete("pod", "deaf")
    assert 3 <= time.monotonic() - began < 20


def test_a_container_leaves_a_message_and_its_exit_code(kube: Kube) -> None:
    told = container("told", "echo the disk is full >/dev/termination-log; exit 4")
    logged = container("logged", "echo last words; exit 5", terminationMessagePolicy="FallbackToLogsOnError")
    kube.apply(pod("mortal", told, logged))
    done = kube.ended("mortal")
    states = {s["name"]: s["state"]["terminated"] for s in done["status"]["containerStatuses"]}
    assert (states["told"]["exitCode"], states["told"]["message"].strip()) == (4, "the disk is full")
    assert (states["logged"]["exitCode"], states["logged"]["message"].strip()) == (5, "last words")
