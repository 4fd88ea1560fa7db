"""The command's three forms, with a server that answers as told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import pytest

from criserver.cli import client
from criserver.cli.main import main
from tests.unit.cli.trace.kit import WHOLE


class Answering:
    """Stands for the client of a server."""

    def __init__(self, _: Any) -> None: ...

    def ask(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        assert (method, request) == ("Trace", {"pod": "web"})
        return WHOLE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Client", Answering)


def test_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "web"]) == 0
    assert "RunPodSandbox  100 ms" in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "web", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(WHOLE))


def test_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "web", "--html", str(tmp_path / "a.html")]) == 0
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert capsys.readouterr().out == ""
