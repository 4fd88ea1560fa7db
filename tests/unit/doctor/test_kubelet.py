from __future__ import annotations

from dataclasses import replace

import pytest

from criserver.config.schema import CgroupDriver
from criserver.doctor.finding import Severity
from criserver.doctor.kubelet import KubeletFacts, judge, parse_flags

LISTEN = "unix:///run/criserver/criserver.sock"
GOOD = KubeletFacts(
    LISTEN, CgroupDriver.AUTO, systemd=True, v1=False, swap=False, pid=5, file="/k.yaml",
    configuration={"containerRuntimeEndpoint": LISTEN},
)  # fmt: skip


def test_no_kubelet() -> None:
    assert [each.severity for each in judge(replace(GOOD, pid=0, file=""))] == [Severity.NOTE]


def test_a_kubelet_that_fits() -> None:
    assert [each.severity for each in judge(GOOD)] == [Severity.OK]
    aliased = replace(GOOD, flags={"container-runtime-endpoint": LISTEN.replace("/run/", "/var/run/")})
    assert [each.severity for each in judge(aliased)] == [Severity.OK]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(GOOD, configuration={}), "points at its default"),
        (replace(GOOD, flags={"container-runtime-endpoint": "unix:///run/c.sock"}), "points at unix:///run/c.sock"),
        (replace(GOOD, v1=True), "failCgroupV1"),
        (replace(GOOD, swap=True), "failSwapOn"),
        (
            replace(
                GOOD, driver=CgroupDriver.CGROUPFS, configuration={**GOOD.configuration, "cgroupDriver": "systemd"}
            ),
            "the kubelet's cgroupDriver is systemd, runtime.cgroup_driver is cgroupfs",
        ),
        (replace(GOOD, trouble="cannot be read"), "/k.yaml: cannot be read"),
    ],
)
def test_what_does_not_fit(facts: KubeletFacts, words: str) -> None:
    found = [each for each in judge(facts) if words in each.what]
    assert [each.severity for each in found] == [Severity.WARNING]
    assert found[0].fix


def test_what_the_kubelet_is_told_to_accept() -> None:
    accepted = {**GOOD.configuration, "failCgroupV1": False, "failSwapOn": False}
    assert [each.severity for each in judge(replace(GOOD, v1=True, swap=True, configuration=accepted))] == [Severity.OK]


def test_parse_flags() -> None:
    argv = ["--config=/k.yaml", "--v", "4", "--fail-swap-on", "--node-ip", "10.0.0.1", "x", ""]
    assert parse_flags(argv) == {"config": "/k.yaml", "v": "4", "fail-swap-on": "true", "node-ip": "10.0.0.1"}
