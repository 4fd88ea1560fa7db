"""The network driver with the real bridge plugin, in a network namespace that plays the host."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

import cni
from conmon.client import Zygote
from criserver.drivers.network import pod_network as network
from criserver.drivers.network.pod_network import CniNetwork
from criserver.drivers.roots.namespaces import PinnedNamespaces
from criserver.kernel import namespaces, process
from criserver.model.sandbox import PodMetadata, SandboxConfig
from criserver.observe.metrics import Metrics
from criserver.ports.network import NetworkStatus
from tests.root.drivers.conftest import Place

PLUGINS = Path("/usr/lib/cni")
POD = SandboxConfig(PodMetadata(name="web", uid="u-1", namespace="default"))


class Node:
    """A driver, the namespace that plays its host, and pods' namespaces."""

    def __init__(self, place: Place, pins: PinnedNamespaces) -> None:
        self.place, self.pins = place, pins
        self.leases = place.root / "leases"
        conf = place.root / "conf"
        conf.mkdir()
        ranges = [[{"subnet": "10.203.7.0/24"}], [{"subnet": "fd00:203:7::/64"}]]
        ipam = {"type": "host-local", "dataDir": str(self.leases), "ranges": ranges}
        bridge = {"type": "bridge", "bridge": "crdrv0", "isGateway": True, "ipam": ipam}
        document = {"cniVersion": "1.0.0", "name": "crdrv", "plugins": [bridge]}
        (conf / "10-crdrv.conflist").write_text(json.dumps(document))
        cache = str(place.root / "cni")
        self.driver = CniNetwork(conf_dir=str(conf), bin_dirs=[str(PLUGINS)], cache_dir=cache, metrics=Metrics())

    async def pod(self, sandbox_id: str) -> str:
        await self.pins.pin(sandbox_id, {"net"})
        return self.pins.path(sandbox_id, "net")

    def leased(self) -> list[str]:
        return sorted(path.name for path in self.leases.glob("crdrv/*") if path.name[0] in "1f")

    async def links(self) -> list[str]:
        return await namespaces_links(self.pins.path("host", "net"))


async def namespaces_links(path: str) -> list[str]:
    """Names of the links in a network namespace, but for loopback."""
    return [name for _, name in namespaces.inside(path, socket.if_nameindex) if name != "lo"]


@pytest.fixture
async def node(place: Place, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    missing = [name for name in ("bridge", "host-local") if not os.access(PLUGINS / name, os.X_OK)]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing in {PLUGINS} (apt-get install containernetworking-plugins)")
    pins = PinnedNamespaces(str(place.state), Zygote(place.state / "zygote"))
    await pins.pin("host", {"net"})
    plain = network.spawn

    async def spawn(argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes, timeout: float) -> cni.Completed:
        enter = [process.find_program("nsenter"), f"--net={pins.path('host', 'net')}"]
        return await plain([*enter, *argv], env=env, stdin=stdin, timeout=timeout)

    monkeypatch.setattr(network, "spawn", spawn)
    yield Node(place, pins)
    for sandbox in await pins.pinned():
        await pins.unpin(sandbox)


async def test_pod_gets_addresses_and_gives_them_back(node: Node) -> None:
    assert await node.driver.status() == NetworkStatus(True)
    netns = await node.pod("s1")
    attachment = await node.driver.add("s1", POD, netns)
    assert attachment.network == "crdrv"
    assert [
        address.startswith(prefix) for address, prefix in zip(attachment.ips, ("10.203.7.", "fd00:203:7:"), strict=True)
    ]
    assert await namespaces_links(netns) == ["eth0"]
    assert len(node.leased()) == 2

    def reach_gateway() -> None:
        # Refused by the other end: it was reached.
        with socket.socket() as client:
            client.settimeout(5)
            client.connect(("10.203.7.1", 1))

    with pytest.raises(ConnectionRefusedError):
        namespaces.inside(netns, reach_gateway)
    for _ in range(2):
        await node.driver.remove("s1", POD, netns)
    assert node.leased() == []
    assert await namespaces_links(netns) == []
    assert await node.links() == ["crdrv0"]


async def test_addresses_come_back_when_the_namespace_is_gone(node: Node) -> None:
    netns = await node.pod("s1")
    await node.driver.add("s1", POD, netns)
    await node.pins.unpin("s1")  # as a reboot does
    await node.driver.remove("s1", POD, netns)
    assert node.leased() == []


async def test_garbage(node: Node) -> None:
    for sandbox in ("s1", "s2"):
        await node.driver.add(sandbox, POD, await node.pod(sandbox))
    await node.pins.unpin("s1")
    await node.driver.gc(frozenset({"s2"}))
    assert len(node.leased()) == 2
    await node.driver.gc(frozenset())
    assert node.leased() == []
