"""What a container's document is made of: each answer from its owner, and refusals that name the field."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from criserver.errors import FailedPrecondition, InvalidArgument, NotFound
from criserver.lifecycle.running.building import Builder
from criserver.model.container import Container, ContainerConfig, ContainerState, Device, ImageSpec, Mount
from criserver.model.host import HostDevice
from criserver.model.image import Image, ImageDefaults
from criserver.model.resources import LinuxResources
from criserver.model.sandbox import Sandbox
from criserver.model.security import IdMapping, NamespaceMode, NamespaceOptions, ProfileType, SecurityProfile
from criserver.spec.wish import HostFacts, Policy
from tests.support.fakes import IMAGE, FakeHost
from tests.support.world import House, container, pod


@dataclass
class Bench:
    """A builder over the fakes, with a pod to build containers for."""

    house: House
    sandbox: Sandbox
    facts: HostFacts = field(default_factory=HostFacts)
    policies: dict[str, Policy] = field(default_factory=dict)

    async def build(self, config: ContainerConfig, image: Image = IMAGE, handler: str = "") -> dict[str, Any]:
        """The document of a container of that configuration."""
        policies = lambda handler: self.policies.get(handler, Policy())  # noqa: E731
        builder = Builder(self.house.powers, self.house.containers, lambda: self.facts, policies, node_name="node")
        sandbox = replace(self.sandbox, runtime_handler=handler)
        return (await builder.build(sandbox, self.row(config), image, "/rootfs/c1")).spec

    def row(self, config: ContainerConfig) -> Container:
        """The row as it is while the container is made."""
        return Container("c1", self.sandbox.id, config, ContainerState.CREATING, 1, IMAGE.id, cgroups_path="/pods/c1")


@pytest.fixture
async def bench(house: House) -> Bench:
    row = house.sandboxes.get(await house.pods.run(pod(), ""))
    security = replace(row.config.security, privileged=True)
    return Bench(house, replace(row, config=replace(row.config, security=security)))


def secured(**changes: Any) -> ContainerConfig:
    config = container()
    return replace(config, security=replace(config.security, **changes))


def targeting(target: str) -> ContainerConfig:
    return secured(namespace_options=NamespaceOptions(pid=NamespaceMode.TARGET, target_id=target))


def namespaces(spec: Mapping[str, Any]) -> dict[str, str]:
    return {each["type"]: each.get("path", "") for each in spec["linux"]["namespaces"]}


def at(spec: Mapping[str, Any], destination: str) -> dict[str, Any]:
    (found,) = [mount for mount in spec["mounts"] if mount["destination"] == destination]
    return dict(found)


async def test_the_pod_gives_namespaces_files_and_name(bench: Bench) -> None:
    spec = await bench.build(container())
    found = namespaces(spec)
    assert {kind: found[kind] for kind in ("network", "ipc", "uts")} == {
        "network": f"/ns/{bench.sandbox.id}/net",
        "ipc": f"/ns/{bench.sandbox.id}/ipc",
        "uts": f"/ns/{bench.sandbox.id}/uts",
    }
    assert found["pid"] == "" and spec["linux"]["cgroupsPath"] == "/pods/c1"
    assert at(spec, "/etc/hosts")["source"] == "/hosts" and at(spec, "/dev/shm")["source"] == "/shm"
    assert "HOSTNAME=node" in spec["process"]["env"], "as the pod has no name of its own"
    assert spec["process"]["args"] == ["sh"] and spec["root"]["path"] == "/rootfs/c1"


async def test_the_user_is_that_of_the_images_accounts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    async def read_in_root(_: Any, root: str, path: str, limit: int) -> str:
        asked.append((root, path))
        return {"/etc/passwd": "web:x:1000:1001::/srv:/bin/sh\n", "/etc/group": "disk:x:6:web\n"}[path]

    monkeypatch.setattr(FakeHost, "read_in_root", read_in_root)
    image = replace(IMAGE, defaults=ImageDefaults(cmd=("sh",), user="web"))
    spec = await bench.build(container(), image)
    assert spec["process"]["user"] == {"uid": 1000, "gid": 1001, "additionalGids": [6, 1001]}
    assert "HOME=/srv" in spec["process"]["env"]
    assert asked == [("/rootfs/c1", "/etc/passwd"), ("/rootfs/c1", "/etc/group")]


async def test_the_pid_namespace_of_a_running_neighbour(bench: Bench, house: House) -> None:
    target = await house.lives.create(bench.sandbox.id, container())
    with pytest.raises(FailedPrecondition, match=r"namespace_options\.target_id: container .* is CREATED"):
        await bench.build(targeting(target))
    await house.lives.start(target)
    assert namespaces(await bench.build(targeting(target)))["pid"] == "/proc/4242/ns/pid"
    with pytest.raises(NotFound, match="nobody"):
        await bench.build(targeting("nobody"))


async def test_no_container_of_another_pod_is_a_target(bench: Bench, house: House) -> None:
    other = await house.pods.run(pod("other"), "")
    target = await house.lives.create(other, container())
    await house.lives.start(target)
    with pytest.raises(FailedPrecondition, match="name a running container of this pod"):
        await bench.build(targeting(target))


async def test_mounts_of_the_request(bench: Bench) -> None:
    config = container(mounts=(Mount("/data", "/srv/data", readonly=True),))
    found = at(await bench.build(config), "/data")
    assert found["source"] == "/srv/data" and "ro" in found["options"]
    with pytest.raises(InvalidArgument, match=r"config\.mounts: host_path 'srv/data' is not absolute"):
        await bench.build(container(mounts=(Mount("/data", "srv/data"),)))


async def test_image_volumes_lie_where_they_were_mounted(bench: Bench, house: House) -> None:
    mounts = (Mount("/whole", image=ImageSpec("x")), Mount("/part", image=ImageSpec("x"), image_sub_path="etc"))
    builder = Builder(house.powers, house.containers, HostFacts, lambda _: Policy(), node_name="node")
    volumes = {"/whole": "/volumes/c1/0", "/part": "/volumes/c1/1"}
    row = bench.row(container(mounts=mounts))
    spec = (await builder.build(bench.sandbox, row, IMAGE, "/rootfs/c1", volumes)).spec
    assert at(spec, "/whole")["source"] == "/volumes/c1/0"
    assert at(spec, "/part")["source"] == "/volumes/c1/1/etc"


async def test_volumes_of_the_image_that_no_mount_covers(bench: Bench) -> None:
    image = replace(IMAGE, defaults=ImageDefaults(cmd=("sh",), volumes=("/var/lib/db/", "/cache")))
    spec = await bench.build(container(mounts=(Mount("/cache/", "/srv/cache"),)), image)
    assert at(spec, "/var/lib/db")["source"] == "/volumes/c1/0"
    assert at(spec, "/cache")["source"] == "/srv/cache"


async def test_a_directory_of_devices_is_all_that_are_in_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def devices(_: Any, path: str) -> tuple[HostDevice, ...]:
        return HostDevice(f"{path}/a", "c", 10, 1), HostDevice(f"{path}/b", "c", 10, 2)

    monkeypatch.setattr(FakeHost, "devices", devices)
    spec = await bench.build(container(devices=(Device("/dev/inside", "/dev/bus", "rw"),)))
    assert [(each["path"], each["minor"]) for each in spec["linux"]["devices"]] == [
        ("/dev/inside/a", 1),
        ("/dev/inside/b", 2),
    ]


async def test_a_profile_of_the_node_is_read_only_when_it_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def profile(_: Any, path: str) -> Mapping[str, Any]:
        asked.append(path)
        return {"defaultAction": "SCMP_ACT_LOG"}

    monkeypatch.setattr(FakeHost, "profile", profile)
    localhost = SecurityProfile(ProfileType.LOCALHOST, "/profiles/x.json")
    spec = await bench.build(secured(seccomp=localhost))
    assert spec["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_LOG" and asked == ["/profiles/x.json"]
    spec = await bench.build(secured(seccomp=localhost, privileged=True))
    assert "seccomp" not in spec["linux"] and asked == ["/profiles/x.json"]


async def test_the_facts_are_those_of_now(bench: Bench) -> None:
    bench.facts = HostFacts(devices=(HostDevice("/dev/new", "c", 77, 7),))
    devices = (await bench.build(secured(privileged=True)))["linux"]["devices"]
    assert [each["path"] for each in devices] == ["/dev/new"]


async def test_what_is_less_than_asked_is_said_once(
    bench: Bench, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    facts = HostFacts(capabilities=frozenset({"CAP_CHOWN"}), oom_score_adj=200)
    builder = Builder(house.powers, house.containers, lambda: facts, lambda _: Policy(), node_name="node")
    config = container(resources=LinuxResources(oom_score_adj=-500))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await builder.build(bench.sandbox, bench.row(config), IMAGE, "/rootfs/c1")
    lines = [record.message for record in caplog.records if record.name.endswith("building")]
    assert lines[0].startswith("oom_score_adj -500 became 200") and lines[1].startswith("capabilities left out")
    assert len(lines) == 2


def test_the_stop_signal_of_request_and_image(house: House) -> None:
    builder = Builder(house.powers, house.containers, HostFacts, lambda _: Policy(), node_name="node")
    image = replace(IMAGE, defaults=ImageDefaults(stop_signal="SIGQUIT"))
    assert builder.stop_signal(container(stop_signal="SIGUSR1"), image) == "SIGUSR1"
    assert builder.stop_signal(container(), image) == "SIGQUIT"
    assert builder.stop_signal(container(), IMAGE) == "SIGTERM"


async def test_what_a_runtime_can_counts_and_not_only_the_host(bench: Bench) -> None:
    ids = (IdMapping(100000, 0, 10),)
    mapped = Mount("/data", "/srv", uid_mappings=ids, gid_mappings=ids)
    recursive = Mount("/data", "/srv", readonly=True, recursive_read_only=True)
    for mount in (mapped, recursive):
        await bench.build(replace(container(), mounts=(mount,)))
        with pytest.raises(FailedPrecondition, match="runtime of this handler"):
            await bench.build(replace(container(), mounts=(mount,)), handler="old")
