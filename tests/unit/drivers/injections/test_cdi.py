"""Which file counts for a CDI device, and what a container gets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.injections.cdi import Catalogue, catalogue
from criserver.drivers.injections.operator_files import OperatorFile
from criserver.errors import FailedPrecondition
from criserver.model.edits import EditedDevice, EditedMount, Hook


def file(path: str, priority: int, devices: dict[str, Any], **whole: Any) -> OperatorFile:
    document = {
        "cdiVersion": "1.0.0",
        "kind": "v.com/gpu",
        "devices": [{"name": name, "containerEdits": edits} for name, edits in devices.items()],
        "containerEdits": whole,
    }
    return OperatorFile(path, priority, json.dumps(document))


def env(*names: str) -> dict[str, Any]:
    return {"env": [f"{name}=1" for name in names]}


def test_a_files_own_edits_once_then_those_of_its_devices() -> None:
    devices = catalogue([file("/a.json", 0, {"0": env("ZERO"), "1": env("ONE")}, **env("ALL"))])
    assert devices.edits(["v.com/gpu=1"]).env == ("ALL=1", "ONE=1")
    assert devices.edits(["v.com/gpu=1", "v.com/gpu=0", "v.com/gpu=1"]).env == ("ALL=1", "ONE=1", "ZERO=1")


def test_the_later_directory_counts() -> None:
    devices = catalogue([file("/etc/a.json", 0, {"0": env("ETC")}), file("/run/b.json", 1, {"0": env("RUN")})])
    assert devices.edits(["v.com/gpu=0"]).env == ("RUN=1",)


def test_two_files_of_one_directory_conflict_for_that_device_alone() -> None:
    files = [file("/etc/a.json", 0, {"0": env("A"), "1": env("B")}), file("/etc/b.json", 0, {"0": env("C")})]
    with pytest.raises(FailedPrecondition, match=r"v.com/gpu=0: both /etc/a.json and /etc/b.json describe it"):
        catalogue(files).edits(["v.com/gpu=0"])
    assert catalogue(files).edits(["v.com/gpu=1"]).env == ("B=1",)
    overruled = catalogue([*files, file("/run/c.json", 1, {"0": env("D")})])
    assert overruled.edits(["v.com/gpu=0"]).env == ("D=1",), "as the later directory settles it"


def test_what_is_not_there_is_named_with_the_files_that_may_have_it() -> None:
    devices = catalogue([file("/etc/a.json", 0, {"0": env("A")}), OperatorFile("/etc/bad.json", 0, "{")])
    with pytest.raises(FailedPrecondition) as caught:
        devices.edits(["v.com/gpu=0", "v.com/gpu=7", "w.com/x=1"])
    assert str(caught.value).startswith("CDI devices v.com/gpu=7, w.com/x=1: no file of this node describes them")
    assert "/etc/bad.json cannot be used: Expecting" in str(caught.value)
    with pytest.raises(FailedPrecondition, match="no file of this node"):
        Catalogue().edits(["v.com/gpu=0"])


def one(**edits: Any) -> Any:
    return catalogue([file("/a.json", 0, {"0": edits})]).edits(["v.com/gpu=0"])


def test_every_kind_of_edit() -> None:
    edits = one(
        mounts=[{"hostPath": "/a", "containerPath": "/b", "options": ["ro"]}],
        hooks=[{"hookName": "poststop", "path": "/x", "args": ["x", "y"], "env": ["A=b"], "timeout": 1}],
        intelRdt={"closID": "gold", "enableCMT": True},
        additionalGids=[7],
    )
    assert edits.mounts == (EditedMount("/a", "/b", "", ("ro",)),)
    assert edits.hooks == (Hook(("poststop",), "/x", ("x", "y"), ("A=b",), 1),)
    assert edits.rdt == {"closID": "gold", "enableCMT": True}
    assert edits.gids == (7,)


def test_a_node_takes_from_the_host_what_the_file_leaves_out() -> None:
    assert one(deviceNodes=[{"path": "/dev/null"}]).devices == (EditedDevice("/dev/null", "c", 1, 3),)
    other = one(deviceNodes=[{"path": "/dev/x", "hostPath": "/dev/zero", "type": "c", "permissions": "r", "uid": 3}])
    assert other.devices == (EditedDevice("/dev/x", "c", 1, 5, None, "r", 3, None),)
    given = one(deviceNodes=[{"path": "/not/there", "type": "b", "major": 8, "minor": 1, "fileMode": 0o600}])
    assert given.devices == (EditedDevice("/not/there", "b", 8, 1, 0o600),)


def test_a_node_that_the_host_lacks(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"v.com/gpu=0: its node /not/there on this host: No such file"):
        one(deviceNodes=[{"path": "/not/there"}])
    with pytest.raises(FailedPrecondition, match="/dev/null on this host is no device node of type b"):
        one(deviceNodes=[{"path": "/dev/null", "type": "b"}])
    (tmp_path / "file").touch()
    os.symlink("/dev/null", tmp_path / "link")
    for name in ("file", "link"):
        with pytest.raises(FailedPrecondition, match="is no device node of type b, c or p"):
            one(deviceNodes=[{"path": f"{tmp_path}/{name}"}])
    os.mkfifo(tmp_path / "fifo")
    assert one(deviceNodes=[{"path": f"{tmp_path}/fifo"}]).devices[0].type == "p"
