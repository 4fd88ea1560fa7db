"""A host of one's own: a network namespace in which real plugins run, so that bridges, rules and addresses never meet
those of the machine, of another test, or of a run at the same time."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cni import Attachment, Cache, Completed, Gate, Network, Plugins
from cni.config import NetworkConfig, parse_list
from cni.execute import run

DEBIAN = Path("/usr/lib/cni")
CURRENT = Path(os.environ.get("CRISERVER_TOOLS", Path.home() / ".cache/criserver/tools")) / "cni"
NEEDED = ("bridge", "host-local", "portmap", "loopback", "bandwidth", "firewall", "tuning")

numbers = itertools.count()


def sh(*argv: str, check: bool = True) -> str:
    """Run a program of the machine and return its output."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


class Host:
    """The namespace that plays the host, the pods' namespaces, and a directory for plugins' state."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.leases = directory / "ipam"
        self.cache = Cache(str(directory / "cache"))
        self.gate = Gate()
        self._namespaces: list[str] = []
        self.netns = self.new_namespace("h")
        sh("ip", "-n", Path(self.netns).name, "link", "set", "lo", "up")

    def new_namespace(self, kind: str = "p") -> str:
        """Make a network namespace and return its path."""
        name = f"crcni-{kind}{os.getpid()}-{next(numbers)}"
        sh("ip", "netns", "add", name)
        self._namespaces.append(name)
        return f"/run/netns/{name}"

    def lose(self, netns: str) -> None:
        """Take a namespace away, as a reboot or a careless operator does."""
        sh("ip", "netns", "del", Path(netns).name)
        self._namespaces.remove(Path(netns).name)

    def close(self) -> None:
        """Take everything away."""
        for name in self._namespaces:
            sh("ip", "netns", "del", name, check=False)

    def on_host(self, *argv: str, check: bool = True) -> str:
        """Run a program in the namespace that plays the host."""
        return sh("nsenter", f"--net={self.netns}", *argv, check=check)

    async def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: bytes,
        timeout: float,
    ) -> Completed:
        """The real `Exec`, in the namespace that plays the host."""
        command = ["/usr/bin/nsenter", f"--net={self.netns}", *argv]
        return await run(command, env=env, stdin=stdin, timeout=timeout)

    def plugins(self, *bin_dirs: Path, limits: Mapping[str, float] | None = None) -> Plugins:
        """Real plugins of these directories."""
        return Plugins([str(path) for path in bin_dirs], execute=self.execute, limits=limits)

    def network(self, config: NetworkConfig, *bin_dirs: Path, limits: Mapping[str, float] | None = None) -> Network:
        """A network of real plugins on this host."""
        return Network(config, self.plugins(*bin_dirs, limits=limits), self.cache, self.gate)

    def config(
        self, *more: Mapping[str, Any], version: str = "1.0.0", masquerade: bool = True, **keys: Any
    ) -> NetworkConfig:
        """A bridge with addresses of its own, masqueraded, followed by `more` plugins.

        The bridge plugin (up to 1.9.1) finds its masquerade rule by the interface's address, so it leaves the rule when
        the netns is gone: tests of that switch `masquerade` off.
        """
        bridge = {
            "type": "bridge",
            "bridge": "crcni0",
            "isGateway": True,
            "ipMasq": masquerade,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.leases),
                "ranges": [[{"subnet": "10.201.7.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        document = {"cniVersion": version, "name": "crcni", "plugins": [bridge, *more]} | keys
        return parse_list(json.dumps(document).encode())

    def leased(self) -> list[str]:
        """The addresses that host-local has given out."""
        directory = self.leases / "crcni"
        return sorted(p.name for p in directory.glob("10.*")) if directory.exists() else []

    def leftovers(self, container_id: str) -> list[str]:
        """What is left of a container, once the kernel has had the time to take a lost namespace's links away."""
        for _ in range(100):
            if not self.held(container_id):
                break
            time.sleep(0.05)
        return self.held(container_id)

    def held(self, container_id: str) -> list[str]:
        """What there is of a container: leases, veths, rules, cache files."""
        rules = self.on_host("iptables-save") + self.on_host("nft", "list", "ruleset")
        found = [line for line in rules.splitlines() if container_id in line or "10.201.7." in line]
        links = json.loads(self.on_host("ip", "-j", "link", "show"))
        found += [link["ifname"] for link in links if link["ifname"].startswith(("veth", "bwp"))]
        found += [c.attachment.ifname for c in self.cache.attachments(container_id=container_id)]
        return found + self.leased()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host of one's own; skipped without the privilege to make one."""
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    for program in ("ip", "nsenter", "iptables-save", "nft"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing (apt-get install iproute2 util-linux iptables nftables)")
    made = Host(tmp_path)
    try:
        yield made
    finally:
        made.close()


def plugin_dir(path: Path, how: str) -> Path:
    """Return a plugin directory that is complete, or skip."""
    missing = [name for name in NEEDED if not os.access(path / name, os.X_OK)]
    if missing:
        pytest.skip(f"plugins {', '.join(missing)} are missing in {path} ({how})")
    return path


@pytest.fixture
def debian() -> Path:
    """Debian's plugins, of specification 1.0.0."""
    return plugin_dir(DEBIAN, "apt-get install containernetworking-plugins")


@pytest.fixture
def current() -> Path:
    """The current plugins, of specification 1.1.0."""
    return plugin_dir(CURRENT, "hack/tools cni-plugins, which needs Go")


@pytest.fixture(params=["debian", "current"])
def bin_dir(request: pytest.FixtureRequest) -> Path:
    """Either set of plugins."""
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.fixture
def pod(host: Host) -> Attachment:
    """A pod's namespace on the host, to be attached."""
    return Attachment(f"pod{next(numbers)}", host.new_namespace())
