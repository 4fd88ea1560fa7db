"""All mounts of a container and their order."""

from dataclasses import replace
from typing import Any

import pytest

from criserver.errors import Internal, InvalidArgument
from criserver.model.container import Mount
from criserver.model.security import IdMapping, NamespaceMode, NamespaceOptions, UserNamespace
from criserver.spec.assemble import build
from criserver.spec.mounts import mounts, volume_destinations
from criserver.spec.wish import DefaultMount, HostFacts, Policy, ResolvedMount, SandboxFiles, SpecWish
from tests.support import wishes

FILES = SandboxFiles("/pod/hosts", "/pod/resolv.conf", "/pod/hostname", "/pod/shm")
DEFAULTS = ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]


def places(wish: SpecWish) -> list[str]:
    return [mount["destination"] for mount in mounts(wish)]


def at(wish: SpecWish, path: str) -> dict[str, Any]:
    (found,) = [mount for mount in mounts(wish) if mount["destination"] == path]
    return found


NO_FILES = SandboxFiles()


def asking(*asked: Mount, files: SandboxFiles = NO_FILES) -> SpecWish:
    wish = wishes.plain(mounts=tuple(ResolvedMount(mount, mount.host_path) for mount in asked), files=files)
    return wishes.asking(wish, mounts=asked)


def test_defaults() -> None:
    assert places(wishes.plain()) == DEFAULTS
    assert "ro" in at(wishes.plain(), "/sys")["options"]
    assert "ro" in at(wishes.plain(), "/sys/fs/cgroup")["options"]
    assert "ro" not in at(wishes.plain(), "/proc")["options"]


def test_privileged_may_write_to_sys() -> None:
    assert "ro" not in at(wishes.privileged(), "/sys")["options"]
    assert "ro" not in at(wishes.privileged(), "/sys/fs/cgroup")["options"]


def test_files_of_the_pod() -> None:
    wish = asking(files=FILES)
    assert places(wish)[len(DEFAULTS) :] == ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/dev/shm"]
    assert at(wish, "/etc/hosts")["source"] == "/pod/hosts"
    assert "rw" in at(wish, "/etc/hosts")["options"]
    readonly = wishes.secured(wish, readonly_rootfs=True)
    assert "ro" in at(readonly, "/etc/hosts")["options"]
    assert "rw" in at(readonly, "/dev/shm")["options"]


def test_parents_come_first() -> None:
    wish = asking(Mount("/a/b/c", "/1"), Mount("/a", "/2"), Mount("/etc", "/3"), files=FILES)
    order = places(wish)
    assert order.index("/a") < order.index("/a/b/c")
    assert order.index("/etc") < order.index("/etc/hosts")


def test_the_request_counts_more_than_volumes_files_and_defaults() -> None:
    wish = asking(Mount("/etc/hosts/", "/own"), Mount("/data", "/own"), Mount("/dev/shm", "/own"), files=FILES)
    wish = replace(wish, volumes=(("/data", "/volume"), ("/more", "/volume")))
    for path in ("/etc/hosts", "/data", "/dev/shm"):
        assert at(wish, path)["source"] == "/own"
    assert at(wish, "/more")["source"] == "/volume"


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/dev", ["/proc", "/sys", "/sys/fs/cgroup", "/dev"]),
        ("/sys", ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys"]),
        ("/sys/fs/cgroup", ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]),
        ("/devices", [*DEFAULTS, "/devices"]),
    ],
)
def test_all_of_dev_or_sys_takes_the_place_of_what_lies_in_it(path: str, left: list[str]) -> None:
    assert places(asking(Mount(path, "/own"))) == left


def test_nothing_of_the_request_is_left_out_in_silence() -> None:
    with pytest.raises(Internal, match="mounts /a of the request were not resolved"):
        mounts(wishes.asking(mounts=(Mount("/a", "/srv"),)))


def test_volumes_of_the_image_cve_2022_23648() -> None:
    assert volume_destinations(["/data/", "/data", "/a/./b"]) == ("/a/b", "/data")
    for path in ("/../../etc", "/proc", "relative", "/"):
        with pytest.raises(InvalidArgument, match="the image's VOLUME"):
            volume_destinations([path])
        with pytest.raises(InvalidArgument, match="the image's VOLUME"):
            mounts(wishes.plain(volumes=((path, "/volume"),)))


def userns(options: NamespaceOptions, gids: tuple[IdMapping, ...] = wishes.MAPPED.gids) -> SpecWish:
    options = replace(options, userns=UserNamespace(NamespaceMode.POD, wishes.MAPPED.uids, gids))
    return wishes.podded(wishes.secured(namespace_options=options), namespace_options=options)


def test_in_a_user_namespace_the_nodes_file_systems_are_bound() -> None:
    node = NamespaceMode.NODE
    assert at(userns(wishes.OWN_PID), "/sys")["type"] == "sysfs"
    shared = userns(NamespaceOptions(node, node, node))
    for path in ("/sys", "/dev/mqueue", "/proc"):
        assert (at(shared, path)["type"], at(shared, path)["source"]) == ("bind", path)
    assert "ro" in at(shared, "/sys")["options"]


def test_terminals_belong_to_a_group_that_exists() -> None:
    assert "gid=5" in at(wishes.plain(), "/dev/pts")["options"]
    assert "gid=5" in at(userns(wishes.OWN_PID), "/dev/pts")["options"]
    few = userns(wishes.OWN_PID, (IdMapping(100000, 0, 5),))
    assert "gid=5" not in at(few, "/dev/pts")["options"]


def test_selinux_label_of_dev() -> None:
    wish = wishes.plain(host=HostFacts(selinux=True), selinux_level="s0:c1,c2")
    assert 'context="system_u:object_r:container_file_t:s0:c1,c2"' in at(wish, "/dev")["options"]


def test_mounts_of_the_configuration_give_way_to_the_request() -> None:
    policy = Policy(mounts=(DefaultMount("/zone", "/etc/localtime", ("ro",)), DefaultMount("/a", "/host/a")))
    wish = replace(asking(Mount("/host/a", "/mine"), files=FILES), policy=policy)
    assert at(wish, "/etc/localtime")["source"] == "/zone"
    assert at(wish, "/etc/localtime")["options"] == ["rbind", "rprivate", "ro"]
    assert at(wish, "/host/a")["source"] == "/mine"


def test_roots_that_the_configuration_makes_read_only_have_places_to_write() -> None:
    wish = wishes.plain(policy=Policy(readonly_rootfs=True))
    assert [path for path in places(wish) if path in ("/run", "/tmp", "/var/tmp")] == ["/run", "/tmp", "/var/tmp"]
    assert not {"/run", "/tmp", "/var/tmp"} & set(places(wishes.secured(wish, readonly_rootfs=True)))
    assert build(wish)["root"]["readonly"] and not build(wishes.plain())["root"]["readonly"]
