from typing import Any, cast

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


def test_keys_that_are_not_at_their_defaults() -> None:
    default = {"a": 1, "b": {"c": 2, "d": {}}}
    assert dict(changed({"a": 1, "b": {"c": 3, "d": {"x": 1}}, "e": 5}, default)) == {"b.c": 3, "b.d.x": 1, "e": 5}
    assert dict(changed(default, default)) == {}
