"""The whole package on real plugins: Debian's of specification 1.0.0 and the current ones of 1.1.0."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cni import (
    Attachment,
    Bandwidth,
    CniError,
    IncompatibleVersion,
    PluginNotAvailable,
    PluginTimeout,
    PortMapping,
    capability_args,
)
from tests.root.cni.conftest import Host, sh
from tests.unit.cni import contract

PORTMAP: dict[str, Any] = {"type": "portmap", "capabilities": {"portMappings": True}}
BANDWIDTH: dict[str, Any] = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
TUNING: dict[str, Any] = {"type": "tuning", "sysctl": {"net.core.somaxconn": "333"}}
FIREWALL: dict[str, Any] = {"type": "firewall", "backend": "iptables"}


def inside(pod: Attachment, *argv: str) -> str:
    return sh("nsenter", f"--net={pod.netns}", *argv)


def addresses(pod: Attachment) -> list[str]:
    (link,) = json.loads(inside(pod, "ip", "-j", "-4", "addr", "show", "dev", pod.ifname))
    return [f"{entry['local']}/{entry['prefixlen']}" for entry in link["addr_info"]]


@contextmanager
def web_server(pod: Attachment) -> Iterator[None]:
    """A server in the pod that answers one line to whoever connects to port 80."""
    script = (
        "import socket; s = socket.create_server(('', 80)); print('up', flush=True)\n"
        "while True: c, _ = s.accept(); c.sendall(b'hello'); c.close()"
    )
    command = ["nsenter", f"--net={pod.netns}", "python3", "-Ic", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            assert server.stdout.readline() == b"up\n"
            yield
        finally:
            server.kill()


def fetch(host: Host, address: str, port: int) -> str:
    script = f"import socket; print(socket.create_connection(('{address}', {port}), 5).recv(9).decode())"
    return host.on_host("python3", "-Ic", script).strip()


async def test_the_contract_that_the_fakes_keep_too(host: Host, bin_dir: Path, pod: Attachment) -> None:
    network = host.network(host.config(TUNING), bin_dir)
    await contract.delete_needs_nothing(network, pod)
    await contract.lives_and_dies(network, pod)
    await contract.tells_versions(network)
    host.lose(host.new_namespace())
    await contract.survives_the_loss_of_netns(network, pod, "/run/netns/crcni-gone")


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
async def test_every_version_of_the_specification(host: Host, current: Path, pod: Attachment, version: str) -> None:
    network = host.network(host.config(TUNING, PORTMAP, version=version), current)
    pod = replace(pod, capability_args=capability_args(port_mappings=[PortMapping(8080, 80)]))
    result = await network.add(pod)
    assert result.cni_version == version
    assert [str(ip.address) for ip in result.ips_of("eth0")] == addresses(pod)
    assert [str(route.dst) for route in result.routes] == ["0.0.0.0/0"]
    assert result.interfaces[-1].sandbox == pod.netns
    assert await network.check(pod) is (version >= "0.4.0")
    await network.delete(pod)
    assert host.leftovers(pod.container_id) == []


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
async def test_versions_before_chaining(host: Host, bin_dir: Path, pod: Attachment, version: str) -> None:
    network = host.network(host.config(version=version), bin_dir)
    result = await network.add(pod)
    assert "ip4" in result.raw
    assert [str(ip.address) for ip in result.ips_of("eth0")] == addresses(pod)
    await network.delete(pod)
    assert host.leftovers(pod.container_id) == []


async def test_a_whole_chain_works_and_leaves_nothing(host: Host, bin_dir: Path, pod: Attachment) -> None:
    network = host.network(host.config(FIREWALL, TUNING, PORTMAP, BANDWIDTH, disableCheck=True), bin_dir)
    wishes = capability_args(
        port_mappings=[PortMapping(8080, 80)], bandwidth=Bandwidth(ingress_rate=8_000_000, egress_rate=8_000_000)
    )
    pod = replace(pod, capability_args=wishes)
    result = await network.add(pod)
    (address,) = result.ips_of("eth0")
    assert addresses(pod) == [str(address.address)]
    assert inside(pod, "cat", "/proc/sys/net/core/somaxconn").strip() == "333"
    assert "tbf" in host.on_host("tc", "qdisc", "show")
    with web_server(pod):
        assert fetch(host, str(address.address.ip), 80) == "hello"
        assert fetch(host, "10.201.7.1", 8080) == "hello"
    assert host.held(pod.container_id) != []
    await network.delete(pod)
    assert host.leftovers(pod.container_id) == []


async def test_check_notices_what_was_taken_away(host: Host, bin_dir: Path, pod: Attachment) -> None:
    network = host.network(host.config(TUNING, FIREWALL), bin_dir)
    await network.add(pod)
    assert await network.check(pod) is True
    inside(pod, "ip", "addr", "flush", "dev", "eth0")
    with pytest.raises(CniError, match=r'plugin "bridge" CHECK: .*10\.201\.7\.'):
        await network.check(pod)


@pytest.mark.parametrize("netns", ["named", "not named"])
async def test_delete_after_the_netns_is_gone(host: Host, bin_dir: Path, pod: Attachment, netns: str) -> None:
    network = host.network(host.config(PORTMAP, FIREWALL, masquerade=False), bin_dir)
    pod = replace(pod, capability_args=capability_args(port_mappings=[PortMapping(8080, 80)]))
    await network.add(pod)
    assert len(host.leased()) == 1
    host.lose(pod.netns)
    await network.delete(pod if netns == "named" else replace(pod, netns=""))
    assert host.leftovers(pod.container_id) == []


async def test_delete_when_a_plain_file_is_left_of_the_netns(
    host: Host, bin_dir: Path, pod: Attachment, tmp_path: Path
) -> None:
    """After a reboot a pinned namespace is the empty file that it was mounted on."""
    (tmp_path / "pin").touch()
    network = host.network(host.config(masquerade=False), bin_dir)
    await network.add(pod)
    host.lose(pod.netns)
    await network.delete(replace(pod, netns=str(tmp_path / "pin")))
    assert host.leftovers(pod.container_id) == []


async def test_delete_after_the_cache_is_lost(host: Host, bin_dir: Path, pod: Attachment) -> None:
    network = host.network(host.config(FIREWALL), bin_dir)
    await network.add(pod)
    host.cache.remove("crcni", pod.container_id, pod.ifname)
    host.lose(pod.netns)
    await network.delete(pod)
    assert host.leased() == []


async def test_a_failing_link_of_the_chain_is_told_and_undone(host: Host, bin_dir: Path, pod: Attachment) -> None:
    network = host.network(host.config({"type": "tuning", "sysctl": {"net.core.no_such": "1"}}), bin_dir)
    with pytest.raises(CniError, match=r'plugin "tuning" ADD: .*no_such.*no such file') as caught:
        await network.add(pod)
    assert caught.value.undo_error is None
    assert host.leftovers(pod.container_id) == []
    assert "eth0" not in inside(pod, "ip", "link")


async def test_eight_pods_at_a_time_get_eight_addresses(host: Host, bin_dir: Path) -> None:
    network = host.network(host.config(FIREWALL), bin_dir)
    pods = [Attachment(f"pod{number}", host.new_namespace()) for number in range(8)]
    results = await asyncio.gather(*(network.add(pod) for pod in pods))
    assert len({ip.address for result in results for ip in result.ips_of("eth0")}) == 8
    await asyncio.gather(*(network.delete(pod) for pod in pods))
    assert host.leased() == []


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A directory with the plugin `slow`, whose ADD sleeps in a child and whose pids are in the file `pids`."""
    directory = tmp_path / "slow"
    directory.mkdir()
    body = f"#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\nsleep 1000 & echo $$ $! > {directory}/pids\nwait\n"
    (directory / "slow").write_text(body)
    (directory / "slow").chmod(0o755)
    return directory


def running(slow: Path) -> list[str]:
    """The plugin's processes that run; the machine's init may be slow to reap a child that was killed."""
    pids = (slow / "pids").read_text().split() if (slow / "pids").exists() else []
    states = {pid: sh("ps", "-o", "stat=", "-p", pid, check=False).strip() for pid in pids}
    return [pid for pid, state in states.items() if state and not state.startswith("Z")]


async def test_a_hanging_plugin_is_killed_named_and_undone(
    host: Host, bin_dir: Path, pod: Attachment, slow: Path
) -> None:
    network = host.network(host.config({"type": "slow"}), bin_dir, slow, limits={"ADD": 1})
    with pytest.raises(PluginTimeout, match=r'plugin "slow" ADD: still running after 1 s'):
        await network.add(pod)
    assert running(slow) == []
    assert host.leftovers(pod.container_id) == []


async def test_a_cancelled_add_leaves_nothing(host: Host, bin_dir: Path, pod: Attachment, slow: Path) -> None:
    network = host.network(host.config({"type": "slow"}), bin_dir, slow)
    task = asyncio.get_running_loop().create_task(network.add(pod))
    while not running(slow):  # the plugin says so
        await asyncio.sleep(0.01)
    assert len(host.leased()) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running(slow) == []
    assert host.leftovers(pod.container_id) == []


async def test_status_of_ready_plugins(host: Host, current: Path) -> None:
    await host.network(host.config(PORTMAP, FIREWALL, version="1.1.0"), current).status()


async def test_status_tells_what_a_plugin_lacks(host: Host, current: Path, tmp_path: Path) -> None:
    """Without host-local the bridge cannot serve ADD, which only STATUS of 1.1.0 finds out."""
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "bridge").symlink_to(current / "bridge")
    config = host.config(version="1.1.0")
    with pytest.raises(CniError, match=r'plugin "bridge" STATUS: .*host-local'):
        await host.network(config, tmp_path / "some").status()
    await host.network(contract.with_version(config, "1.0.0"), tmp_path / "some").status()


async def test_versions_that_do_not_fit_are_told(host: Host, debian: Path, pod: Attachment) -> None:
    network = host.network(host.config(version="1.1.0"), debian)
    with pytest.raises(IncompatibleVersion, match=r'plugin "bridge" STATUS: speaks .*"1.0.0"; .* asks for "1.1.0"'):
        await network.status()
    with pytest.raises(IncompatibleVersion, match=r'plugin "bridge" ADD: .*1\.1\.0'):
        await network.add(pod)


async def test_plugins_of_two_ages_meet_at_the_older_ones_version(
    host: Host, debian: Path, current: Path, pod: Attachment, tmp_path: Path
) -> None:
    (tmp_path / "mixed").mkdir()
    for name, source in (("bridge", current), ("host-local", current), ("tuning", debian)):
        (tmp_path / "mixed" / name).symlink_to(source / name)
    config = host.config(TUNING, cniVersions=["0.4.0", "1.0.0", "1.1.0"])
    network = host.network(config, tmp_path / "mixed")
    assert (await network.add(pod)).cni_version == "1.0.0"
    await network.delete(pod)
    assert (await host.network(config, current).add(pod)).cni_version == "1.1.0"


async def test_gc_frees_what_is_remembered_and_tells_the_plugins_who_stays(
    host: Host, current: Path, pod: Attachment, tmp_path: Path
) -> None:
    """The reference plugins (1.9.1) take GC and do nothing: what they hold comes back by DEL, from the cache."""
    (tmp_path / "own").mkdir()
    witness = tmp_path / "own" / "witness"
    versions = '{"supportedVersions": ["1.1.0"]}'
    witness.write_text(
        f"#!/bin/sh\n[ $CNI_COMMAND != VERSION ] || echo '{versions}'\n"
        f"[ $CNI_COMMAND != ADD ] || python3 -Ic 'import json; print(json.dumps(json.load(open(0))[\"prevResult\"]))'\n"
        f"[ $CNI_COMMAND != GC ] || cat > {tmp_path}/told\n"
    )
    witness.chmod(0o755)
    network = host.network(
        host.config({"type": "witness"}, version="1.1.0", masquerade=False), current, tmp_path / "own"
    )
    lost = Attachment("lost", host.new_namespace())
    for attachment in (pod, lost):
        await network.add(attachment)
    host.lose(lost.netns)
    assert await network.gc({(pod.container_id, pod.ifname)}) == (("lost", "eth0"),)
    assert len(host.leased()) == 1
    told = json.loads((tmp_path / "told").read_bytes())
    assert told["cni.dev/valid-attachments"] == [{"containerID": pod.container_id, "ifname": "eth0"}]
    assert await network.check(pod) is True
    assert await network.gc(()) == ((pod.container_id, "eth0"),)
    assert host.leased() == []


async def test_gc_of_older_plugins_goes_by_the_cache_alone(host: Host, debian: Path, pod: Attachment) -> None:
    network = host.network(host.config(PORTMAP, masquerade=False), debian)
    await network.add(pod)
    host.lose(pod.netns)
    assert await network.gc(()) == ((pod.container_id, "eth0"),)
    assert host.leftovers(pod.container_id) == []


async def test_a_network_removed_from_the_configuration_can_still_be_left(
    host: Host, bin_dir: Path, pod: Attachment
) -> None:
    """DEL goes by the configuration that ADD used, not by the one of the same name that is there now."""
    await host.network(host.config(FIREWALL), bin_dir).add(pod)
    now = replace(host.config(), plugins=host.config(TUNING).plugins[1:])
    await host.network(now, bin_dir).delete(pod)
    assert host.leftovers(pod.container_id) == []


async def test_two_networks_in_one_pod(host: Host, bin_dir: Path, pod: Attachment) -> None:
    await host.network(host.config(), bin_dir).add(pod)
    loopback = replace(
        host.config(name="local"),
        plugins=(replace(host.config().plugins[0], type="loopback", raw={"type": "loopback"}),),
    )
    result = await host.network(loopback, bin_dir).add(replace(pod, ifname="lo"))
    assert [str(ip.address.ip) for ip in result.ips_of("lo")][:1] == ["127.0.0.1"]
    assert "eth0" in inside(pod, "ip", "link")


async def test_a_full_pool_is_the_plugins_own_word(host: Host, current: Path, pod: Attachment) -> None:
    config = host.config(version="1.1.0")
    config.plugins[0].raw["ipam"]["ranges"] = [[{"subnet": "10.201.7.0/30"}]]
    network = host.network(config, current)
    await network.add(pod)
    with pytest.raises(CniError, match=r'plugin "bridge" ADD: .*no IP addresses available') as caught:
        await network.add(Attachment("late", host.new_namespace()))
    assert not isinstance(caught.value, PluginNotAvailable)
    assert len(host.leased()) == 1
