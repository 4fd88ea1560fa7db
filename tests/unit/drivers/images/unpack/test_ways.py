"""Which ways through links leave the layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.drivers.images.unpack.ways import outward

LINKS = {
    "up": "..",
    "root": "/",
    "absolute": "/etc",
    "above": "../../x",
    "sub/up": "..",
    "sub/above": "../..",
    "sub/down": "deeper/./still",
    "inside": "sub/down",
    "chain": "inside",
    "chain-out": "sub/to-out",
    "sub/to-out": "../absolute",
    "around": "sub/../sub",
    "around-out": "sub/../../x",
    "loop": "loop",
    "ping": "pong",
    "pong": "ping",
    "dangling": "not/there",
}


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    for name, target in LINKS.items():
        (tmp_path / name).symlink_to(target)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("way", "link"),
    [
        ("up", "up"),
        ("root/x", "root"),
        ("absolute", "absolute"),
        ("above/x/y", "above"),
        ("sub/above", "sub/above"),
        ("chain-out/x", "absolute"),
        ("sub/to-out", "absolute"),
        ("around-out", "around-out"),
        ("sub/up/absolute", "absolute"),
    ],
)
def test_out(way: str, link: str) -> None:
    assert outward(way.encode().split(b"/")) == link.encode()


@pytest.mark.parametrize(
    "way",
    [
        "",
        "sub",
        "sub/up",
        "sub/up/sub/up",
        "inside",
        "chain/x",
        "around/down",
        "loop",
        "ping/x",
        "dangling/x",
        "no/way",
    ],
)
def test_within(way: str) -> None:
    assert outward(way.encode().split(b"/")) is None
