import json
from typing import Any

import pytest

from criserver.cli import client
from criserver.cli.main import main
from tests.unit.cli.status.kit import Answering, Service


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    monkeypatch.setattr(client, "Client", lambda _: Answering(made))
    return made


def test_the_terminal(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    assert "RuntimeReady" in capsys.readouterr().out


def test_json(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told["pods"]] == ["web", "old"]


def test_a_node_that_is_not_ready_is_an_exit_code(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.ready = False
    assert main(["status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["conditions"][1]["status"] is False
