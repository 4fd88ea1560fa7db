import os
from types import SimpleNamespace

import pytest

from criserver.api import admin
from criserver.cli import load


def test_the_path_is_made_absolute_and_images_are_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, str]] = []

    def answer(channel: object, path: str) -> list[dict[str, object]]:
        asked.append((channel, path))
        return [{"id": "sha256:1", "names": ["a:1", "a:2"]}]

    monkeypatch.setattr(admin, "load", answer)
    client = SimpleNamespace(channel="the channel")
    assert load.load(client, "x.tar") == [("sha256:1", ["a:1", "a:2"])]  # type: ignore[arg-type]
    assert asked == [("the channel", os.path.join(os.getcwd(), "x.tar"))]
