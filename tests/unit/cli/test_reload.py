from __future__ import annotations

from pathlib import Path

import pytest

from criserver.cli import main as cli
from criserver.cli.client import Client
from criserver.errors import ConfigError


def test_a_line_per_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def ask(_: Client, method: str, __: object) -> dict[str, list[str]]:
        asked.append(method)
        return {"lines": ["log_level: 'info' → 'debug'"]}

    monkeypatch.setattr(Client, "ask", ask)
    assert cli.main(["reload", "--listen", f"unix://{tmp_path}/x.sock"]) == 0
    assert asked == ["Reload"]
    assert capsys.readouterr().out == "log_level: 'info' → 'debug'\n"


def test_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(*_: object) -> dict[str, list[str]]:
        raise ConfigError("c.yaml: unknown key rot")

    monkeypatch.setattr(Client, "ask", ask)
    assert cli.main(["reload", "--listen", f"unix://{tmp_path}/x.sock"]) == 1
    assert capsys.readouterr().err == "criserver: c.yaml: unknown key rot\n"
