import json
from pathlib import Path

import pytest

from criserver.cli.demo import network, programs
from criserver.drivers.network.default import CONFLIST

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("name", ["a.conflist", "b.conf", "c.json"])
def test_a_host_with_a_configuration_is_seen(tmp_path: Path, name: str) -> None:
    assert not network.is_configured(str(tmp_path / "none"))
    (tmp_path / "readme.txt").touch()
    assert not network.is_configured(str(tmp_path))
    (tmp_path / name).touch()
    assert network.is_configured(str(tmp_path))


class Host:
    """A host's files that a plugin changes, under a directory."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.interfaces, self.leases, self.forwarding = root / "net", root / "cni" / "networks", root / "ip_forward"
        self.interfaces.mkdir()
        self.forwarding.write_text("0\n")
        self.deleted: list[tuple[str, ...]] = []
        monkeypatch.setattr(network, "INTERFACES", str(self.interfaces))
        monkeypatch.setattr(network, "LEASES", str(self.leases))
        monkeypatch.setattr(network, "FORWARDING", str(self.forwarding))
        monkeypatch.setattr(programs, "output", lambda *command: self.deleted.append(command))

    def add_bridge(self, name: str, *ports: str) -> None:
        for port in ("", *ports):
            (self.interfaces / name / "brif" / port).mkdir(parents=True)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_what_is_new_and_idle_is_taken_away(host: Host) -> None:
    host.add_bridge("old")
    before = network.HostNetwork()
    host.add_bridge("new")
    host.add_bridge("busy", "veth0")
    (host.interfaces / "eth1").mkdir()
    (host.leases / "criserver").mkdir(parents=True)
    (host.leases / "criserver" / "last_reserved_ip.0").touch()
    host.forwarding.write_text("1\n")
    before.restore()
    assert host.deleted == [("ip", "link", "delete", "new")]
    assert not host.leases.parent.exists()
    assert host.forwarding.read_text() == "0"


def test_what_was_there_stays(host: Host) -> None:
    (host.leases / "other").mkdir(parents=True)
    host.forwarding.write_text("1\n")
    before = network.HostNetwork()
    (host.leases / "idle").mkdir()
    (host.leases / "used").mkdir()
    (host.leases / "used" / "10.0.0.2").touch()
    before.restore()
    assert {path.name for path in host.leases.iterdir()} == {"other", "used"}
    assert host.forwarding.read_text() == "1\n"


def test_the_shipped_sample_is_what_a_server_without_one_uses() -> None:
    shipped = (ROOT / "config" / "10-criserver.conflist").read_text()
    assert shipped == json.dumps(json.loads(CONFLIST), indent=2) + "\n"
