import os
from types import SimpleNamespace

from criserver.cli import load


def test_the_path_is_made_absolute_and_images_are_returned() -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def ask(method: str, request: dict[str, str]) -> dict[str, object]:
        asked.append((method, request))
        return {"images": [{"id": "sha256:1", "names": ["a:1", "a:2"]}]}

    client = SimpleNamespace(ask=ask)
    assert load.load(client, "x.tar") == [("sha256:1", ["a:1", "a:2"])]  # type: ignore[arg-type]
    assert asked == [("Load", {"path": os.path.join(os.getcwd(), "x.tar")})]
