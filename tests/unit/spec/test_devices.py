"""Device nodes and the rules that let them be used."""

from dataclasses import replace

import pytest

from criserver.errors import Internal, InvalidArgument
from criserver.model.container import Device, ProcessUser
from criserver.model.host import HostDevice
from criserver.spec.devices import bound, nodes, rules
from criserver.spec.mounts import mounts
from criserver.spec.wish import HostFacts, Policy, ResolvedDevice, SpecWish
from tests.support import wishes

DENY = {"allow": False, "access": "rwm"}


def with_device(device: Device, node: HostDevice = wishes.FUSE, wish: SpecWish | None = None) -> SpecWish:
    return replace(wishes.asking(wish, devices=(device,)), devices=(ResolvedDevice(device, node),))


def test_nothing_asked_nothing_given_but_a_denial_ghsa_g54h() -> None:
    assert nodes(wishes.plain()) == []
    assert rules(wishes.plain()) == [DENY]


def test_a_device() -> None:
    wish = with_device(Device("/dev/f", "/dev/fuse", "mr"))
    assert nodes(wish) == [
        {"path": "/dev/f", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666, "uid": 0, "gid": 0}
    ]
    assert rules(wish) == [DENY, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rm"}]


def test_a_device_by_another_name_is_mounted_in_a_user_namespace() -> None:
    wish = with_device(Device("/dev/f", "/dev/fuse", "rw"))
    assert bound(wish) == {}
    wish = wishes.podded(wish, namespace_options=replace(wishes.OWN_PID, userns=wishes.MAPPED))
    assert bound(wish) == {"/dev/f": "/dev/fuse"} and nodes(wish) == []
    assert rules(wish)[1]["major"] == 10
    (mount,) = [each for each in mounts(wish) if each["destination"] == "/dev/f"]
    assert mount["source"] == "/dev/fuse" and {"rbind", "nosuid", "noexec"} <= set(mount["options"])
    same = with_device(Device("/dev/fuse", "/dev/fuse", "rw"), wish=wish)
    assert bound(same) == {} and [node["path"] for node in nodes(same)] == ["/dev/fuse"]


def test_without_container_path_the_hosts() -> None:
    assert nodes(with_device(Device("", "/dev/fuse", "r")))[0]["path"] == "/dev/fuse"


def test_privileged_has_the_hosts_devices_but_those_of_the_runtime() -> None:
    host = HostFacts(devices=(wishes.FUSE, wishes.NULL, wishes.DISK))
    wish = wishes.privileged(wishes.plain(host=host))
    assert [node["path"] for node in nodes(wish)] == ["/dev/fuse", "/dev/vda"]
    assert rules(wish) == [DENY, {"allow": True, "access": "rwm"}]
    without = replace(wish, policy=Policy(privileged_without_host_devices=True))
    assert nodes(without) == []
    assert rules(without) == [DENY]


def test_ownership_from_the_security_context() -> None:
    wish = wishes.secured(with_device(Device("/dev/f", "/dev/fuse", "r")), run_as_user=7, run_as_group=8)
    wish = replace(wish, user=ProcessUser(7, 8))
    assert (nodes(wish)[0]["uid"], nodes(wish)[0]["gid"]) == (0, 0)
    wish = replace(wish, policy=Policy(device_ownership_from_security_context=True))
    assert (nodes(wish)[0]["uid"], nodes(wish)[0]["gid"]) == (7, 8)
    assert nodes(wishes.secured(wish, run_as_user=None, run_as_group=None))[0]["uid"] == 0


@pytest.mark.parametrize("permissions", ["", "x", "rwx", "R", "r w"])
def test_permissions(permissions: str) -> None:
    with pytest.raises(InvalidArgument, match="permissions"):
        rules(with_device(Device("/dev/f", "/dev/fuse", permissions)))


@pytest.mark.parametrize("path", ["f", "/dev/../etc/passwd", "/proc/x", "/sys/x", "/"])
def test_places(path: str) -> None:
    with pytest.raises(InvalidArgument, match="container_path"):
        nodes(with_device(Device(path, "/dev/fuse", "r")))


def test_only_devices_are_devices() -> None:
    with pytest.raises(InvalidArgument, match="/dev/pipe is neither"):
        nodes(with_device(Device("/dev/f", "/dev/pipe", "r"), HostDevice("/dev/pipe", "p", 0, 0)))


def test_nothing_is_left_out_in_silence() -> None:
    with pytest.raises(Internal, match="devices /dev/fuse were not resolved"):
        nodes(wishes.asking(devices=(Device("/dev/f", "/dev/fuse", "r"),)))
