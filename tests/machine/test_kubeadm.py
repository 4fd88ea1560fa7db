"""kubeadm makes a cluster of this machine with criserver, by the recipe in kind/kubeadm; and it works.

Steps in their order, each a test, which takes the machine as it is: one can be tried again alone. `make test-kubeadm`
starts the machine anew after them, and test_kubeadm_rebooted.py looks at what came back.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machine.conftest import Packages, answers, patient, run, wait_until
from tests.machine.kubeadm import (
    ADMIN,
    BEFORE,
    CONFIG,
    WEB,
    apply,
    boot,
    fetch,
    get,
    kubectl,
    prepare,
    ready,
    snapshot,
    until,
)
from tests.support.cluster.manifests import agn, service, workload
from tests.support.server import Client

PORT = 8080


@pytest.fixture(scope="module", autouse=True)
def prepared(packages: Packages, client: Client) -> None:
    """criserver is installed and answers, and what an administrator does before kubeadm is done."""
    if not (images := os.environ.get("CRISERVER_NODE_IMAGES")):
        pytest.skip("CRISERVER_NODE_IMAGES names no directory of images: make test-kubeadm makes them")
    if BEFORE.exists():
        pytest.skip("this machine was made and started anew before: hack/vm down gives a fresh one")
    patient()
    run("apt-get", "install", "-y", packages.old)
    wait_until(lambda: answers(client), "the server")
    if not CONFIG.exists() or list(Path(images).glob("*.tar")):
        prepare(Path(images))


def test_preflight_complains_of_nothing() -> None:
    if Path("/etc/kubernetes/admin.conf").exists():
        pytest.skip("the cluster is there: its ports are taken")
    done = run("kubeadm", "init", "phase", "preflight", f"--config={CONFIG}")
    assert "[ERROR" not in done.stdout + done.stderr
    warned = [line for line in done.stderr.splitlines() if "WARNING" in line or line.startswith("W")]
    assert not [line for line in warned if "runtime" in line.lower() or "cri" in line.lower()], warned


def test_a_control_plane_comes_up() -> None:
    if not Path("/etc/kubernetes/admin.conf").exists():
        run("kubeadm", "init", f"--config={CONFIG}", "--v=1")
    until(lambda: all(map(ready, get("nodes")["items"])), "the node to be ready")
    until(lambda: all(map(ready, get("pods", "--namespace=kube-system")["items"])), "the system's pods")


def test_a_deployment_answers_by_its_service() -> None:
    apply(
        workload("Deployment", WEB, agn("main", "netexec", f"--http-port={PORT}"), replicas=2), service(WEB, 80, PORT)
    )
    until(lambda: get("deployment", WEB)["status"].get("readyReplicas") == 2, "the Deployment")
    address = get("service", WEB)["spec"]["clusterIP"]
    names = {each["metadata"]["name"] for each in get("pods", f"--selector=app={WEB}")["items"]}
    until(lambda: fetch(f"http://{address}/hostname") in names, "the Service")


def test_exec_reaches_a_container() -> None:
    assert kubectl("exec", f"deployment/{WEB}", "--", "cat", "/proc/1/comm").strip() == "agnhost"
    assert kubectl("exec", "--stdin", f"deployment/{WEB}", "--", "sh", "-c", "cat", given="to and fro") == "to and fro"


def test_logs_are_read() -> None:
    assert "Started HTTP server" in kubectl("logs", f"deployment/{WEB}")


def test_a_port_is_forwarded() -> None:
    with forwarding(f"deployment/{WEB}", PORT) as port:
        assert fetch(f"http://127.0.0.1:{port}/echo?msg=forwarded") == "forwarded"


def test_a_restart_of_criserver_is_nothing_to_the_cluster(client: Client) -> None:
    pods = snapshot()
    run("systemctl", "restart", "criserver")
    assert answers(client)
    assert fetch(f"http://{get('service', WEB)['spec']['clusterIP']}/hostname")
    assert snapshot() == pods


def test_what_runs_is_remembered() -> None:
    BEFORE.write_text(json.dumps({"boot": boot(), "at": time.time(), "pods": snapshot()}))


@contextmanager
def forwarding(what: str, port: int) -> Iterator[int]:
    """kubectl port-forward; the port on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        local = free.getsockname()[1]
    argv = ["kubectl", ADMIN, "port-forward", what, f"{local}:{port}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "Forwarding" in process.stdout.readline()
            yield local
        finally:
            process.kill()
