"""Images as the CRI's messages tell them."""

from __future__ import annotations

import json

import pytest

from criserver.api.convert import image as convert
from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.images.images import FilesystemUsage
from criserver.model.image import Credentials, Image, ImageDefaults

IMAGE = Image("sha256:1", ("a:1",), ("a@sha256:f",), 9, (4, 5), ImageDefaults(), annotations={"k": "v"}, pulled_at=3)


@pytest.mark.parametrize(
    ("text", "uid", "name"),
    [
        ("", None, ""),
        ("0", 0, ""),
        ("1002", 1002, ""),
        ("1003:users", 1003, ""),
        ("0000", 0, ""),
        ("www-data", None, "www-data"),
        ("www-data:33", None, "www-data"),
        ("-1", None, "-1"),
        ("9" * 30, None, "9" * 30),
        ("٣", None, "٣"),
    ],
)
def test_user(text: str, uid: int | None, name: str) -> None:
    assert convert.user(text) == (uid, name)
    image = convert.image(Image("i", (), (), 1, (), ImageDefaults(user=text)))
    assert (image.HasField("uid"), image.username) == (uid is not None, name)


def test_image() -> None:
    image = convert.image(IMAGE)
    assert (image.id, image.size, list(image.repo_tags), image.pinned) == ("sha256:1", 9, ["a:1"], False)
    assert (image.spec.image, dict(image.spec.annotations)) == ("a:1", {"k": "v"})
    assert convert.image(Image("i", (), (), 1, (), ImageDefaults())).spec.image == "i"


def test_credentials() -> None:
    assert convert.credentials(pb.AuthConfig()) is None
    assert convert.credentials(pb.AuthConfig(server_address="a")) is None
    auth = pb.AuthConfig(username="u", password="p", server_address="a")
    assert convert.credentials(auth) == Credentials("u", "p", server_address="a")


def test_info_is_json() -> None:
    assert json.loads(convert.image_info(IMAGE, b'{"os": "linux"}')) == {
        "imageSpec": {"os": "linux"},
        "layers": [4, 5],
        "pulledAt": 3,
    }


def test_filesystem() -> None:
    usage = convert.filesystem(FilesystemUsage("/m", 5, 6, 7))
    assert (usage.fs_id.mountpoint, usage.used_bytes.value, usage.inodes_used.value, usage.timestamp) == ("/m", 5, 6, 7)
