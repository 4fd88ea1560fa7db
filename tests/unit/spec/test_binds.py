"""One mount of the request: access, propagation, options, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.errors import CriError, FailedPrecondition, InvalidArgument
from criserver.model.container import ImageSpec, Mount, Propagation
from criserver.model.host import SourcePropagation
from criserver.model.security import IdMapping
from criserver.spec.binds import bind, destination, halves, rootfs_propagation
from criserver.spec.wish import HostFacts, ResolvedMount

MAPS = (IdMapping(100000, 0, 65536),)
SHARED, PRIVATE, SLAVE = SourcePropagation.SHARED, SourcePropagation.PRIVATE, SourcePropagation.SLAVE


def options(mount: Mount, source: SourcePropagation = PRIVATE, host: HostFacts | None = None) -> list[str]:
    result = bind(ResolvedMount(mount, "/srv", source), host or HostFacts())["options"]
    assert isinstance(result, list)
    return result


@pytest.mark.parametrize(
    ("mount", "source", "wanted"),
    [
        (Mount("/a", "/s"), PRIVATE, ["rbind", "rprivate", "rw"]),
        (Mount("/a", "/s", readonly=True), PRIVATE, ["rbind", "rprivate", "ro"]),
        (Mount("/a", "/s", readonly=True, recursive_read_only=True), PRIVATE, ["rbind", "rprivate", "ro", "rro"]),
        (Mount("/a", "/s", propagation=Propagation.HOST_TO_CONTAINER), SLAVE, ["rbind", "rslave", "rw"]),
        (Mount("/a", "/s", propagation=Propagation.BIDIRECTIONAL), SHARED, ["rbind", "rshared", "rw"]),
        (Mount("/a", image=ImageSpec("i")), PRIVATE, ["rbind", "rprivate", "ro", "nosuid", "nodev", "noexec"]),
        (Mount("/a", "/s", mount_options=("noexec", "nodev")), PRIVATE, ["rbind", "rprivate", "rw", "noexec", "nodev"]),
    ],
)
def test_options(mount: Mount, source: SourcePropagation, wanted: list[str]) -> None:
    assert options(mount, source) == wanted


@pytest.mark.parametrize(
    ("mount", "source", "error", "words"),
    [
        (Mount("/a", "/s", recursive_read_only=True), SHARED, InvalidArgument, "set readonly too"),
        (
            Mount("/a", "/s", readonly=True, recursive_read_only=True, propagation=Propagation.BIDIRECTIONAL),
            SHARED,
            InvalidArgument,
            "give PRIVATE",
        ),
        (Mount("/a", propagation=Propagation.BIDIRECTIONAL), PRIVATE, FailedPrecondition, "make-rshared"),
        (Mount("/a", propagation=Propagation.BIDIRECTIONAL), SLAVE, FailedPrecondition, "slave mount"),
        (Mount("/a", propagation=Propagation.HOST_TO_CONTAINER), PRIVATE, FailedPrecondition, "private mount"),
        (Mount("/a", mount_options=("bind",)), PRIVATE, InvalidArgument, "'bind' is not an option"),
        (Mount("/a", mount_options=("size=1",)), PRIVATE, InvalidArgument, "not an option"),
        (Mount("/a", readonly=True, mount_options=("rw",)), PRIVATE, InvalidArgument, "read-only"),
        (Mount("/a", image=ImageSpec("i"), mount_options=("rw",)), PRIVATE, InvalidArgument, "read-only"),
        (Mount("/a", uid_mappings=MAPS), PRIVATE, FailedPrecondition, "idmapped mounts"),
    ],
)
def test_refusals(mount: Mount, source: SourcePropagation, error: type[CriError], words: str) -> None:
    with pytest.raises(error, match=words):
        options(mount, source)


def test_recursive_read_only_needs_a_runtime_that_can() -> None:
    mount = Mount("/a", "/s", readonly=True, recursive_read_only=True)
    with pytest.raises(FailedPrecondition, match="recursive_read_only is not supported"):
        options(mount, host=HostFacts(recursive_read_only=False))


def test_id_mappings() -> None:
    mount = Mount("/a", "/s", uid_mappings=MAPS, gid_mappings=MAPS)
    result = bind(ResolvedMount(mount, "/srv"), HostFacts(idmapped_mounts=True))
    assert result["uidMappings"] == result["gidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]


def test_id_mappings_in_two_where_a_pid_namespace_is_joined() -> None:
    mount = Mount("/a", "/s", uid_mappings=MAPS, gid_mappings=(IdMapping(7, 0, 1),))
    result = bind(ResolvedMount(mount, "/srv"), HostFacts(idmapped_mounts=True), joins_pid=True)
    assert result["uidMappings"] == [
        {"containerID": 0, "hostID": 100000, "size": 32768},
        {"containerID": 32768, "hostID": 132768, "size": 32768},
    ]
    assert result["gidMappings"] == [{"containerID": 0, "hostID": 7, "size": 1}], "one id cannot be halved"


def test_a_mapped_mount_that_would_lack_what_is_mounted_below() -> None:
    host = HostFacts(idmapped_mounts=True, maps_single_mounts=True)
    mapped = Mount("/a", "/s", uid_mappings=MAPS, gid_mappings=MAPS)
    with pytest.raises(FailedPrecondition, match="mount /a: with /s/x mounted in its source"):
        bind(ResolvedMount(mapped, "/s", below=("/s/x", "/s/y")), host)
    assert bind(ResolvedMount(mapped, "/s"), host)["uidMappings"]
    assert bind(ResolvedMount(mapped, "/s", below=("/s/x",)), HostFacts(idmapped_mounts=True))["uidMappings"]
    assert bind(ResolvedMount(Mount("/a", "/s"), "/s", below=("/s/x",)), host)["source"] == "/s"


@given(st.integers(1, 2**32 - 2), st.integers(1, 2**31), st.integers(0, 2**31))
def test_halves_map_the_same_ids(host: int, length: int, inside: int) -> None:
    whole = IdMapping(host, 0, length)
    parts = halves((whole, whole))
    assert parts[-1] == whole and sum(part.length for part in parts[:-1]) == length
    found = [p.host_id + inside - p.container_id for p in parts[:-1] if 0 <= inside - p.container_id < p.length]
    assert found == ([host + inside] if inside < length else [])


def test_an_image_volume_is_mapped_already() -> None:
    mount = Mount("/a", image=ImageSpec("i"), uid_mappings=MAPS, gid_mappings=MAPS)
    assert "uidMappings" not in bind(ResolvedMount(mount, "/srv"), HostFacts(idmapped_mounts=False))


def test_source_is_the_resolved_path() -> None:
    assert bind(ResolvedMount(Mount("/a", "/link"), "/real"), HostFacts())["source"] == "/real"


@pytest.mark.parametrize("path", ["/proc", "/proc/sys", "//proc//self", "/proc/", "/", "/a/../proc", "a", "", "/a\0b"])
def test_places_where_nothing_may_be_mounted_cve_2019_16884_cve_2022_23648(path: str) -> None:
    with pytest.raises(InvalidArgument):
        destination(path, "mount")


@pytest.mark.parametrize(
    ("path", "normal"), [("/proc/meminfo", "/proc/meminfo"), ("/process", "/process"), ("//a/./b/", "/a/b")]
)
def test_places_where_something_may(path: str, normal: str) -> None:
    assert destination(path, "mount") == normal


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ([], ""),
        ([Propagation.PRIVATE], ""),
        ([Propagation.PRIVATE, Propagation.HOST_TO_CONTAINER], "rslave"),
        ([Propagation.HOST_TO_CONTAINER, Propagation.BIDIRECTIONAL], "rshared"),
    ],
)
def test_root_propagates_what_its_mounts_need(asked: list[Propagation], wanted: str) -> None:
    assert rootfs_propagation([Mount("/a", propagation=mode) for mode in asked]) == wanted
