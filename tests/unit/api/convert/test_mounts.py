"""Mounts, devices and images."""

from typing import Any

import pytest

from criserver.api.convert import mounts
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.container import Device, ImageSpec, Mount, Propagation
from criserver.model.security import IdMapping

IMAGE = pb.ImageSpec(image="i", annotations={"a": "b"}, user_specified_image="u", runtime_handler="h", image_ref="r")


def test_mounts_there_and_back() -> None:
    mapping = pb.IDMapping(host_id=100, container_id=0, length=10)
    given = pb.Mount(
        container_path="/a",
        host_path="/b",
        readonly=True,
        selinux_relabel=True,
        propagation=pb.MountPropagation.PROPAGATION_BIDIRECTIONAL,
        uidMappings=[mapping],
        gidMappings=[mapping],
        recursive_read_only=True,
        mount_options=["noexec"],
    )
    maps = (IdMapping(100, 0, 10),)
    wanted = Mount("/a", "/b", True, True, Propagation.BIDIRECTIONAL, maps, maps, True, mount_options=("noexec",))
    assert mounts.mount(given) == wanted
    assert mounts.mount_pb(wanted) == given


def test_image_volumes_there_and_back() -> None:
    given = pb.Mount(container_path="/a", image=IMAGE, image_sub_path="x/y")
    wanted = Mount("/a", image=ImageSpec("i", {"a": "b"}, "u", "h", "r"), image_sub_path="x/y")
    assert mounts.mount(given) == wanted
    assert mounts.mount_pb(wanted) == given


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"container_path": "/a"}, "either host_path or image"),
        ({"container_path": "/a", "host_path": "/b", "image": IMAGE}, "not both"),
        ({"container_path": "/a", "image": pb.ImageSpec()}, "either host_path or image"),
        ({"container_path": "a", "host_path": "/b"}, "container_path: 'a' is not an absolute path"),
        ({"container_path": "/a/../b", "host_path": "/b"}, "container_path"),
        ({"container_path": "/a", "host_path": "b"}, "host_path"),
        ({"container_path": "/a", "host_path": "/b/../c"}, "host_path"),
        ({"container_path": "/a", "host_path": "/b", "image_sub_path": "x"}, "image_sub_path without an image"),
        ({"container_path": "/a", "image": IMAGE, "image_sub_path": "../x"}, "image_sub_path"),
        ({"container_path": "/a", "image": IMAGE, "image_sub_path": "/x"}, "image_sub_path"),
        ({"container_path": "/a", "host_path": "/b", "propagation": 7}, "propagation: 7"),
        ({"container_path": "/a", "host_path": "/b", "uidMappings": [pb.IDMapping()]}, "uidMappings"),
        ({"container_path": "/a", "host_path": "/b", "mount_options": ["a\nb"]}, "mount_options"),
    ],
)
def test_mount_refusals(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words) as caught:
        mounts.mount(pb.Mount(**fields))
    assert repr(fields["container_path"]) in str(caught.value)


def test_devices() -> None:
    given = pb.Device(container_path="/dev/f", host_path="/dev/fuse", permissions="rw")
    assert mounts.device(given) == Device("/dev/f", "/dev/fuse", "rw")
    assert mounts.device(pb.Device(host_path="/dev/fuse", permissions="m")).container_path == "/dev/fuse"


@pytest.mark.parametrize(
    ("container", "host", "permissions"),
    [("f", "/dev/f", "r"), ("/f", "dev", "r"), ("/f", "/f", ""), ("/f", "/f", "rx")],
)
def test_device_refusals(container: str, host: str, permissions: str) -> None:
    with pytest.raises(InvalidArgument, match=r"config\.devices"):
        mounts.device(pb.Device(container_path=container, host_path=host, permissions=permissions))


def test_cdi_names() -> None:
    assert mounts.cdi_names([pb.CDIDevice(name="vendor.com/net-1=eth0:1")]) == ("vendor.com/net-1=eth0:1",)
    for name in ("", "vendor.com/net", "a=b", "vendor.com/net=a b", "../x/y=z", "v/c=" + "d" * 600):
        with pytest.raises(InvalidArgument, match="CDI_devices"):
            mounts.cdi_names([pb.CDIDevice(name=name)])


def test_images() -> None:
    assert mounts.image_spec_pb(mounts.image_spec(IMAGE, "f")) == IMAGE
    with pytest.raises(InvalidArgument, match=r"f\.image: empty"):
        mounts.image_spec(pb.ImageSpec(), "f")
    with pytest.raises(InvalidArgument, match=r"f\.image: "):
        mounts.image_spec(pb.ImageSpec(image="a\nb"), "f")
