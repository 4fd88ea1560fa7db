from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Self

import pytest

from criserver.api.pb import api_pb2 as cri
from criserver.cli import main as cli
from criserver.cli import wipe
from criserver.errors import Unavailable


class FakeClient:
    """Two pods, one of which cannot be removed."""

    def __init__(self, _: object) -> None:
        pods = [cri.PodSandbox(id=each, metadata=cri.PodSandboxMetadata(name=each, namespace="n")) for each in "ab"]
        self.removed: list[str] = []
        self.runtime = SimpleNamespace(
            ListPodSandbox=lambda _, timeout: cri.ListPodSandboxResponse(items=pods),
            StopPodSandbox=lambda _, timeout: None,
            RemovePodSandbox=self.remove,
        )

    def remove(self, request: cri.RemovePodSandboxRequest, timeout: float) -> None:
        if request.pod_sandbox_id == "b":
            raise Unavailable("it is held")
        self.removed.append(request.pod_sandbox_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Callable[[], FakeClient]:
    made: list[FakeClient] = []

    def make(config: Any) -> FakeClient:
        made.append(FakeClient(config))
        return made[-1]

    monkeypatch.setattr("criserver.cli.client.Client", make)
    return lambda: made[-1]


def test_nothing_goes_without_yes(client: Callable[[], FakeClient], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["wipe"]) == 0
    assert client().removed == []
    assert capsys.readouterr().out.splitlines() == [
        "would remove pod n/a", "would remove pod n/b", "nothing was removed: say --yes",
    ]  # fmt: skip


def test_what_is_left_is_told(client: Callable[[], FakeClient], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["wipe", "--yes"]) == 1
    assert client().removed == ["a"]
    assert sorted(capsys.readouterr().out.splitlines()) == ["pod n/b is left: it is held", "removed pod n/a"]
    assert wipe.HELP
