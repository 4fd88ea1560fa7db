"""The machine of test_kubeadm.py after a reboot with pods up: all are back, and nothing is left of the old boot."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.machine.conftest import answers, run, wait_until
from tests.machine.kubeadm import BEFORE, WEB, boot, fetch, get, ready, snapshot, until
from tests.support import cri
from tests.support.server import Client

LEASES = Path("/var/lib/cni/networks/criserver")


@pytest.fixture(scope="module", autouse=True)
def before(client: Client) -> Mapping[str, Any]:
    if not BEFORE.exists():
        pytest.skip("no cluster ran here before a reboot: make test-kubeadm makes one")
    found: Mapping[str, Any] = json.loads(BEFORE.read_text())
    if found["boot"] == boot():
        pytest.skip("the machine has not been started anew since the cluster was made: hack/vm reboot")
    wait_until(lambda: answers(client), "the server")
    return found


def test_every_pod_is_back(before: Mapping[str, Any]) -> None:
    until(lambda: all(map(ready, get("nodes")["items"])), "the node to be ready")
    until(lambda: back(before["pods"]), "every pod to run again")


def back(pods: Mapping[str, int]) -> bool:
    """Whether the same pods run, each container once more than before."""
    now = snapshot()
    return (
        now.keys() == pods.keys()
        and all(now[name] > pods[name] for name in pods)
        and all(map(ready, get("pods", "--all-namespaces")["items"]))
    )


def test_the_service_answers_again() -> None:
    address = get("service", WEB)["spec"]["clusterIP"]
    until(lambda: bool(fetch(f"http://{address}/hostname")), "the Service")


def test_containers_of_the_old_boot_are_told_exited(client: Client, before: Mapping[str, Any]) -> None:
    old = [each for each in cri.containers(client) if each.created_at / 1e9 < before["at"]]
    assert old
    assert all(each.state == pb.CONTAINER_EXITED for each in old)


def test_leases_are_those_of_pods_that_run(client: Client) -> None:
    ready_pods = {each.id for each in cri.pods(client) if each.state == pb.SANDBOX_READY}
    leased = {path.name: path.read_text().split()[0] for path in LEASES.glob("10.*")}
    assert leased
    assert set(leased.values()) <= ready_pods


def test_nothing_is_mounted_of_the_old_boot(client: Client, before: Mapping[str, Any]) -> None:
    old = {each.id for each in cri.containers(client) if each.created_at / 1e9 < before["at"]}
    old |= {each.id for each in cri.pods(client) if each.created_at / 1e9 < before["at"]}
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    mounted = {found for path in mounts if "criserver" in path for found in re.findall(r"\b[0-9a-f]{64}\b", path)}
    assert old
    assert mounted
    assert not mounted & old


def test_the_check_finds_nothing() -> None:
    done = run("criserver", "check", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
