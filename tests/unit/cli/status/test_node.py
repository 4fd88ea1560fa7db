from typing import Any, cast

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.cli.status.node import changed, look
from tests.unit.cli.status.kit import Answering, Service


def test_everything_is_gathered() -> None:
    node = look(cast(Any, Answering(Service())))
    assert node["conditions"] == [
        {"type": "RuntimeReady", "status": True, "reason": "", "message": ""},
        {"type": "NetworkReady", "status": True, "reason": "", "message": ""},
    ]
    assert node["cgroupDriver"] == "cgroupfs"
    assert node["images"] == {"count": 2, "bytes": 3 << 20}
    web, old = node["pods"]
    assert (web["namespace"], web["name"], web["state"], old["state"]) == ("shop", "web", "ready", "not ready")
    assert [(each["name"], each["attempt"], each["state"]) for each in web["containers"]] == [
        ("nginx", 0, "exited"), ("nginx", 1, "running"),
    ]  # fmt: skip
    assert {key: value for key, value in node["changed"].items() if key.startswith("metrics")} == {"metrics.port": 9090}
    assert "network.bin_dirs" not in node["changed"]


def test_only_the_newest_attempt_is_asked_how_it_ended() -> None:
    service = Service()
    job = service.containers[2].id
    service.ends = {job: pb.ContainerStatus(exit_code=2, reason="Error")}
    web, old = look(cast(Any, Answering(service)))["pods"]
    assert service.asked == [job]
    assert [each["exitCode"] for each in web["containers"]] == [None, None]
    assert (old["containers"][0]["exitCode"], old["containers"][0]["reason"]) == (2, "Error")


def test_a_container_that_vanishes_meanwhile_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.NOT_FOUND

    def gone(_: Any) -> None:
        raise Gone

    service = Service()
    monkeypatch.setattr(service, "ContainerStatus", gone)
    assert look(cast(Any, Answering(service)))["pods"][1]["containers"][0]["exitCode"] is None


def test_keys_that_are_not_at_their_defaults() -> None:
    default = {"a": 1, "b": {"c": 2, "d": {}}}
    assert dict(changed({"a": 1, "b": {"c": 3, "d": {"x": 1}}, "e": 5}, default)) == {"b.c": 3, "b.d.x": 1, "e": 5}
    assert dict(changed(default, default)) == {}
