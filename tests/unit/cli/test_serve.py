from collections.abc import Callable
from pathlib import Path

import pytest

from criserver import app
from criserver.cli import main as cli
from criserver.config.schema import Config


def test_the_server_gets_the_configuration_and_gives_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Config] = []

    def serve(source: Callable[[], Config]) -> int:
        served.append(source())
        return 7

    monkeypatch.setattr(app, "serve", serve)
    (tmp_path / "c.yaml").write_text("root: /x\n")
    assert cli.main(["serve", "--config", f"{tmp_path}/c.yaml", "--state", "/y"]) == 7
    assert [(config.root, config.state) for config in served] == [("/x", "/y")]


def test_a_wrong_configuration_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "serve", lambda _: pytest.fail("started"))
    (tmp_path / "c.yaml").write_text("root: x\n")
    assert cli.main(["serve", "--config", f"{tmp_path}/c.yaml"]) == 1
