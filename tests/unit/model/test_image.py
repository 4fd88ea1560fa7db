"""References to images by digest; and credentials, which stay out of whatever is printed."""

from dataclasses import replace

import pytest

from criserver.model.image import Credentials, Image, ImageDefaults

HERE, THERE = "docker.io/library/web@sha256:" + "a" * 64, "example.org:5000/web@sha256:" + "a" * 64
IMAGE = Image("sha256:" + "1" * 64, (), (HERE, THERE), 1, (), ImageDefaults())


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("web", HERE), ("example.org:5000/web:1", THERE), (THERE, THERE),
        ("elsewhere.org/web", HERE), (IMAGE.id, HERE), ("", HERE),
    ],
)  # fmt: skip
def test_the_digest_is_that_of_the_repository_that_was_asked_for(asked: str, shown: str) -> None:
    assert IMAGE.digested(asked) == shown


def test_an_image_of_no_registry_has_its_id_alone() -> None:
    assert replace(IMAGE, repo_digests=()).digested("web") == IMAGE.id


def test_nothing_that_prints_credentials_tells_them() -> None:
    held = Credentials("user", "hunter2", "dXNlcjpodW50ZXIy", "registry.example", "identity", "token")
    for shown in (repr(held), str(held), f"{held}", f"{held!r}", repr({"auth": held}), repr((held,))):
        assert not [part for part in ("user", "hunter2", "dXNl", "identity", "token") if part in shown]
    assert held == Credentials("user", "hunter2", "dXNlcjpodW50ZXIy", "registry.example", "identity", "token")
