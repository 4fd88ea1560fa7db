from __future__ import annotations

import json
import time
from typing import Any

import pytest

from criserver.cli import client
from criserver.cli.main import main
from tests.unit.cli.status.kit import Answering, Service
from tests.unit.cli.top.kit import SECOND, busy


@pytest.fixture(autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose pod uses half a core between two looks; nobody waits."""
    service = Service()
    busy(service, SECOND, 0)
    monkeypatch.setattr(client, "Client", lambda _: Answering(service))
    monkeypatch.setattr(time, "sleep", lambda _: busy(service, 3 * SECOND, SECOND))


def test_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--once"]) == 0
    out = capsys.readouterr().out
    assert "2 pods  1 of 2 containers running   0.50 cores" in out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--json", "--sort", "name"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    old, web = told["pods"]
    assert (old["name"], web["name"], web["cores"], web["containers"][0]["cores"]) == ("shop/old", "shop/web", 0.5, 0.5)


def test_ctrl_c_ends_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert main(["top"]) == 0


@pytest.mark.parametrize("interval", ["0", "nan", "1e9"])
def test_an_interval_that_is_none(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--interval", interval]) == 1
    assert "--interval" in capsys.readouterr().err
