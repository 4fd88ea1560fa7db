from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from criserver.config.schema import Config, NetworkConfig
from criserver.doctor.finding import Severity
from criserver.doctor.network import NetworkFacts, judge, read

GOOD = NetworkFacts(
    "/etc/cni/net.d", ("/opt/cni/bin",), default_conflist=False, networks=("pods",), plugins=("bridge", "host-local")
)


def test_a_good_network() -> None:
    assert {each.severity for each in judge(GOOD)} == {Severity.OK}


@pytest.mark.parametrize(
    ("facts", "words", "severity"),
    [
        (replace(GOOD, networks=(), plugins=()), "/etc/cni/net.d holds no network configuration", Severity.ERROR),
        (replace(GOOD, networks=(), plugins=(), directory=False), "/etc/cni/net.d is not there", Severity.ERROR),
        (replace(GOOD, networks=(), plugins=(), default_conflist=True), "holds no network", Severity.NOTE),
        (replace(GOOD, broken=("10-x.conf: not JSON",)), "10-x.conf: not JSON", Severity.WARNING),
        (replace(GOOD, missing=("bridge",)), "plugins are missing: bridge (looked in /opt/cni/bin)", Severity.ERROR),
        (replace(GOOD, iptables=False), "iptables is missing", Severity.ERROR),
        (replace(GOOD, networks=("pods", "more")), "network 'pods' in /etc/cni/net.d (of 2", Severity.OK),
    ],
)
def test_what_is_said(facts: NetworkFacts, words: str, severity: Severity) -> None:
    assert [each.severity for each in judge(facts) if words in each.what] == [severity]


async def test_plugins_are_looked_for_as_the_server_does(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bridge").touch(0o755)
    (tmp_path / "net.d").mkdir()
    plugin = {"type": "bridge", "ipam": {"type": "host-local"}}
    (tmp_path / "net.d" / "10-a.conflist").write_text(
        json.dumps({"cniVersion": "1.0.0", "name": "a", "plugins": [plugin, {"type": "portmap"}]})
    )
    (tmp_path / "net.d" / "20-b.conf").write_text("{")
    section = NetworkConfig(conf_dir=str(tmp_path / "net.d"), bin_dirs=(str(tmp_path / "bin"),))
    facts = await read(Config(network=section))
    assert facts.networks == ("a",)
    assert facts.plugins == ("bridge", "portmap", "host-local")
    assert facts.missing == ("portmap", "host-local")
    assert len(facts.broken) == 1
