"""The network driver with shell scripts as plugins: which network counts, what plugins get, what is said of them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.network import pod_network as network
from criserver.drivers.network.pod_network import CniNetwork
from criserver.errors import InvalidArgument, NetworkFailed, Unavailable
from criserver.model.sandbox import PodMetadata, PortMapping, SandboxConfig
from criserver.observe.metrics import Metrics
from criserver.ports.network import Attachment, Network, NetworkStatus

NETNS = f"/proc/{os.getpid()}/ns/net"
POD = SandboxConfig(PodMetadata(name="web", uid="u-1", namespace="default"))
RESULT = {"cniVersion": "1.0.0", "ips": [{"address": "10.9.0.2/24"}, {"address": "fd00::2/64"}]}

# Notes its command and what it was asked, then does what the test says.
PLUGIN = """#!/bin/sh
echo $CNI_COMMAND $CNI_CONTAINERID >>{notes}/calls
cat >{notes}/$CNI_COMMAND
env >{notes}/$CNI_COMMAND.env
{script}
"""
GOOD = f"[ $CNI_COMMAND = ADD ] && echo '{json.dumps(RESULT)}'; exit 0"


class Node:
    """Directories of a node with plugins."""

    def __init__(self, directory: Path) -> None:
        self.conf, self.bin, self.cache, self.notes = (directory / name for name in ("conf", "bin", "cache", "notes"))
        for path in (self.bin, self.notes):
            path.mkdir()

    def plugin(self, script: str, name: str = "test") -> None:
        path = self.bin / name
        path.write_text(PLUGIN.format(notes=self.notes, script=script))
        path.chmod(0o755)

    def conflist(self, name: str) -> str:
        plugin = {"type": "test", "capabilities": {"portMappings": True}}
        return json.dumps({"cniVersion": "1.0.0", "name": name, "plugins": [plugin]})

    def install(self, name: str) -> None:
        self.conf.mkdir(exist_ok=True)
        (self.conf / f"{name}.conflist").write_text(self.conflist(name))

    def driver(self, **more: Any) -> CniNetwork:
        return CniNetwork(
            conf_dir=str(self.conf), bin_dirs=[str(self.bin)], cache_dir=str(self.cache), metrics=Metrics(), **more
        )

    def calls(self) -> list[str]:
        path = self.notes / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def cached(self) -> list[str]:
        return os.listdir(self.cache) if self.cache.exists() else []


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    made.plugin(GOOD)
    return made


async def test_add_and_remove(node: Node) -> None:
    node.install("net")
    driver: Network = node.driver()
    config = SandboxConfig(POD.metadata, port_mappings=(PortMapping("tcp", 80, 8080),))
    assert await driver.add("s1", config, NETNS) == Attachment("net", ("10.9.0.2", "fd00::2"))
    asked = json.loads((node.notes / "ADD").read_text())
    assert asked["runtimeConfig"] == {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
    environment = dict(line.split("=", 1) for line in (node.notes / "ADD.env").read_text().splitlines())
    assert "K8S_POD_NAME=web" in environment["CNI_ARGS"]
    assert (environment["CNI_IFNAME"], environment["CNI_NETNS"]) == ("eth0", NETNS)
    assert len(node.cached()) == 1
    for _ in range(2):
        await driver.remove("s1", config, NETNS)
    assert node.calls() == ["ADD s1", "DEL s1"]
    assert node.cached() == []


async def test_remove_of_a_namespace_that_is_gone(node: Node) -> None:
    node.install("net")
    await node.driver().add("s1", POD, NETNS)
    await node.driver().remove("s1", POD, "/run/gone")
    assert "CNI_NETNS=\n" in (node.notes / "DEL.env").read_text()


async def test_remove_in_a_network_that_is_no_longer_configured(node: Node) -> None:
    node.install("net")
    await node.driver().add("s1", POD, NETNS)
    (node.conf / "net.conflist").unlink()
    await node.driver().remove("s1", POD, NETNS)
    assert node.calls() == ["ADD s1", "DEL s1"]


async def test_plugins_words_and_nothing_left(node: Node) -> None:
    node.install("net")
    node.plugin('[ $CNI_COMMAND = ADD ] || exit 0; echo \'{"code": 101, "msg": "no address is free"}\'; exit 1')
    with pytest.raises(
        NetworkFailed, match='cannot attach pod sandbox s1 to the network: plugin "test" ADD: no address'
    ):
        await node.driver().add("s1", POD, NETNS)
    assert node.calls() == ["ADD s1", "DEL s1"]
    assert node.cached() == []


async def test_plugin_that_hangs_is_killed(node: Node) -> None:
    node.install("net")
    node.plugin("[ $CNI_COMMAND = ADD ] || exit 0; sleep 1000 & echo $! >&2; wait")
    with pytest.raises(NetworkFailed, match="still running after 0.3 s, killed with its children"):
        await node.driver(plugin_timeout=0.3).add("s1", POD, NETNS)
    assert node.cached() == []


async def test_what_could_not_be_deleted_stays_known(node: Node) -> None:
    node.install("net")
    driver = node.driver()
    await driver.add("s1", POD, NETNS)
    node.plugin("exit 7")
    with pytest.raises(NetworkFailed, match='cannot detach pod sandbox s1 from the network: plugin "test" DEL: .*7'):
        await driver.remove("s1", POD, NETNS)
    node.plugin(GOOD)
    await driver.remove("s1", POD, NETNS)
    assert node.cached() == []


async def test_no_configuration(node: Node) -> None:
    driver = node.driver()
    status = await driver.status()
    assert (status.ready, status.reason) == (False, "NetworkPluginNotReady")
    assert f"no network configuration in {node.conf}" in status.message
    with pytest.raises(Unavailable, match="pod sandbox s1 needs a network: no network configuration"):
        await driver.add("s1", POD, NETNS)
    await driver.remove("s1", POD, NETNS)
    await driver.gc(frozenset())
    node.install("net")
    assert await driver.status() == NetworkStatus(True)


async def test_embedded_network_until_one_is_installed(node: Node) -> None:
    driver = node.driver(fallback_conflist=node.conflist("embedded"))
    assert await driver.status() == NetworkStatus(True)
    assert (await driver.add("s1", POD, NETNS)).network == "embedded"
    node.install("installed")
    assert (await driver.add("s2", POD, NETNS)).network == "installed"
    await driver.remove("s1", POD, NETNS)
    await driver.remove("s2", POD, NETNS)
    assert node.cached() == []


async def test_broken_file_is_not_covered_up_by_the_embedded_network(node: Node) -> None:
    node.conf.mkdir()
    (node.conf / "10-net.conflist").write_text("{")
    status = await node.driver(fallback_conflist=node.conflist("embedded")).status()
    assert not status.ready
    assert "10-net.conflist" in status.message


async def test_missing_plugin(node: Node) -> None:
    node.install("net")
    (node.bin / "test").unlink()
    status = await node.driver().status()
    assert not status.ready
    assert f"not found in {node.bin}" in status.message


@pytest.mark.parametrize(
    "config",
    [
        SandboxConfig(POD.metadata, port_mappings=(PortMapping("tcp", 80, 70000),)),
        SandboxConfig(POD.metadata, annotations={"kubernetes.io/ingress-bandwidth": "much"}),
        SandboxConfig(PodMetadata(name="a;b=c", uid="u", namespace="n")),
    ],
)
async def test_wishes_without_sense_reach_no_plugin(node: Node, config: SandboxConfig) -> None:
    node.install("net")
    with pytest.raises(InvalidArgument):
        await node.driver().add("s1", config, NETNS)
    assert node.calls() == []


async def test_garbage_is_what_no_sandbox_claims(node: Node) -> None:
    node.install("net")
    driver = node.driver()
    for sandbox in ("s1", "s2", "s3"):
        await driver.add(sandbox, POD, NETNS)
    await driver.gc(frozenset({"s2"}))
    assert sorted(call for call in node.calls() if "DEL" in call) == ["DEL s1", "DEL s3"]
    assert len(node.cached()) == 1


@pytest.mark.parametrize("netns", [NETNS, "/proc/self/fd/none"])
async def test_garbage_is_given_back_through_its_namespace_as_long_as_that_is_there(node: Node, netns: str) -> None:
    node.install("net")
    driver = node.driver()
    await driver.add("s1", POD, netns)
    await driver.gc(frozenset())
    assert ("CNI_NETNS=" + (NETNS if netns == NETNS else "")) in (node.notes / "DEL.env").read_text().splitlines()


async def test_garbage_collection_goes_on_to_the_end(node: Node) -> None:
    node.install("net")
    driver = node.driver()
    for sandbox in ("s1", "s2"):
        await driver.add(sandbox, POD, NETNS)
    node.plugin("[ $CNI_CONTAINERID = s1 ] && exit 7; exit 0")
    with pytest.raises(NetworkFailed, match="cannot give back network resources: .*DEL"):
        await driver.gc(frozenset())
    assert [name.split(":")[1] for name in node.cached()] == ["s1"]


async def test_cancelled_add_is_undone(node: Node) -> None:
    node.install("net")
    node.plugin(f"[ $CNI_COMMAND = ADD ] || exit 0; touch {node.notes}/begun; sleep 1000")
    caller = asyncio.gather(node.driver().add("s1", POD, NETNS))
    while not (node.notes / "begun").exists():
        await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert node.calls() == ["ADD s1", "DEL s1"]
    assert node.cached() == []


async def test_spawner_keeps_the_librarys_contract(node: Node) -> None:
    node.plugin("cat >&2; echo out; exit 3")
    done = await network.spawn([str(node.bin / "test")], env={"CNI_COMMAND": "X"}, stdin=b"", timeout=5)
    assert (done.returncode, done.stdout, done.timed_out, done.truncated) == (3, b"out\n", False, False)
    late = await network.spawn(["/bin/sleep", "1000"], env={}, stdin=b"", timeout=0.1)
    assert late.timed_out
    with pytest.raises(OSError, match="not there or not executable"):
        await network.spawn(["/nonexistent"], env={}, stdin=b"", timeout=5)
    with (node.bin / "test").open("r+"), pytest.raises(OSError, match="Text file busy"):
        await network.spawn([str(node.bin / "test")], env={}, stdin=b"", timeout=5)
