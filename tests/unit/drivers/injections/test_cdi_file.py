"""CDI files against the text of the specification: names, versions, unknown fields, and each kind of edit."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from criserver.drivers.injections.cdi_file import CdiFile, parse
from criserver.drivers.injections.operator_files import OperatorFile

FULL: dict[str, Any] = {
    "cdiVersion": "0.7.0",
    "kind": "vendor.com/net.card",
    "annotations": {"a": "b"},
    "devices": [
        {
            "name": "0dev:1",
            "annotations": {"c": "d"},
            "containerEdits": {
                "env": ["A=b"],
                "deviceNodes": [
                    {
                        "path": "/dev/card0",
                        "hostPath": "/dev/null",
                        "type": "c",
                        "major": 1,
                        "minor": 3,
                        "fileMode": 438,
                        "permissions": "rw",
                        "uid": 1,
                        "gid": 2,
                    }
                ],
                "mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "none", "options": ["bind", "ro"]}],
                "hooks": [{"hookName": "createRuntime", "path": "/bin/x", "args": ["x"], "env": ["A=b"], "timeout": 3}],
                "intelRdt": {
                    "closID": "gold",
                    "l3CacheSchema": "L3:0=f",
                    "memBwSchema": "MB:0=50",
                    "enableCMT": True,
                    "enableMBM": True,
                },
                "additionalGids": [5, 0],
            },
        }
    ],
    "containerEdits": {"env": ["ALL=1"]},
}


def parsed(document: Any, name: str = "/etc/cdi/v.json") -> CdiFile:
    text = json.dumps(document) if name.endswith(".json") else yaml.safe_dump(document)
    return parse(OperatorFile(name, 0, text))


def least(**changes: Any) -> dict[str, Any]:
    device = {"name": "d", "containerEdits": {"env": ["A=b"]}}
    return {"cdiVersion": "0.3.0", "kind": "v.com/c", "devices": [device], **changes}


def edited(version: str = "1.0.0", **edits: Any) -> dict[str, Any]:
    return least(cdiVersion=version, containerEdits=edits)


def test_everything_in_json_and_yaml() -> None:
    file = parsed(FULL)
    assert parsed(FULL, "/etc/cdi/v.yaml") == file
    (device,) = file.devices
    (node,) = device.container_edits.device_nodes
    assert (node.host_path, node.major, node.file_mode, node.uid) == ("/dev/null", 1, 438, 1)
    assert device.container_edits.intel_rdt is not None and device.container_edits.intel_rdt.clos_id == "gold"
    assert device.container_edits.additional_gids == [5, 0]


@pytest.mark.parametrize("version", ["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0"])
def test_released_versions(version: str) -> None:
    assert parsed(least(cdiVersion=version)).cdi_version == version


@pytest.mark.parametrize(
    ("needed", "document"),
    [
        ("0.4.0", lambda v: edited(v, mounts=[{"hostPath": "/a", "containerPath": "/b", "type": "none"}])),
        ("0.5.0", lambda v: edited(v, deviceNodes=[{"path": "/dev/a", "hostPath": "/dev/b"}])),
        ("0.5.0", lambda v: least(cdiVersion=v, devices=[{"name": "0", "containerEdits": {"env": ["A=b"]}}])),
        ("0.6.0", lambda v: least(cdiVersion=v, annotations={"a": "b"})),
        ("0.6.0", lambda v: least(cdiVersion=v, kind="v.com/a.b")),
        ("0.7.0", lambda v: edited(v, intelRdt={"closID": "x"})),
        ("0.7.0", lambda v: edited(v, additionalGids=[1])),
    ],
)
def test_what_is_newer_than_the_version_is_refused(needed: str, document: Any) -> None:
    versions = ["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0"]
    at = versions.index(needed)
    parsed(document(needed))
    parsed(document("1.0.0"))
    with pytest.raises(ValueError, match=f"came with cdiVersion {needed}"):
        parsed(document(versions[at - 1]))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "Expected `object`"),
        ({}, "missing required field"),
        (least(cdiVersion="2.0.0"), "cdiVersion '2.0.0'"),
        (least(cdiVersion="1.0"), "cdiVersion '1.0'"),
        (least(devices=[]), "devices: empty"),
        (least(more=1), "unknown field `more`"),
        (edited(netDevices=[]), "unknown field `netDevices`"),
        (least(kind="v.com"), "no CDI name"),
        (least(kind="v.com/a/b"), "no CDI name"),
        (least(kind="1v.com/a"), "no CDI name"),
        (least(devices=[{"name": "a=b", "containerEdits": {"env": ["A=b"]}}]), "no CDI name"),
        (least(devices=[{"name": "a", "containerEdits": {"env": ["A=b"]}}] * 2), "described twice"),
        (least(devices=[{"name": "a", "containerEdits": {}}]), "changes nothing"),
        (edited(env=["A"]), "not NAME=VALUE"),
        (edited(env="A=b"), "Expected `array`"),
        (edited(deviceNodes=[{"path": "dev/a"}]), "absolute path"),
        (edited(deviceNodes=[{"path": "/dev/a", "type": "d"}]), "a type of b c u p"),
        (edited(deviceNodes=[{"path": "/dev/a", "permissions": "rx"}]), "permissions"),
        (edited(deviceNodes=[{"path": "/dev/a", "major": -1}]), "out of range"),
        (edited(deviceNodes=[{"path": "/dev/a", "uid": 1 << 32}]), "out of range"),
        (edited(deviceNodes=[{"path": "/dev/a", "fileMode": 0o10000}]), "fileMode"),
        (edited(mounts=[{"hostPath": "", "containerPath": "/b"}]), "give hostPath"),
        (edited(mounts=[{"hostPath": "/a", "containerPath": "/b/../c"}]), "absolute containerPath"),
        (edited(hooks=[{"hookName": "later", "path": "/x"}]), "hooks 'later'"),
        (edited(hooks=[{"hookName": "prestart", "path": "x"}]), "absolute path"),
        (edited(hooks=[{"hookName": "prestart", "path": "/x", "timeout": -1}]), "hooks 'prestart'"),
        (edited(intelRdt={"closID": "../x"}), "intelRdt.closID"),
        (edited(additionalGids=[-1]), "additionalGids"),
    ],
)
def test_faults(document: Any, words: str) -> None:
    for name in ("/etc/cdi/v.json", "/etc/cdi/v.yaml"):
        with pytest.raises(ValueError, match=words):
            parsed(document, name)


def test_a_file_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="larger than"):
        parse(OperatorFile("/x.json", 0, "", "larger than 5 bytes"))
    with pytest.raises(ValueError, match="Expecting"):
        parse(OperatorFile("/x.json", 0, "{"))
    with pytest.raises(ValueError, match="YAML|mapping|object|scanning|expected"):
        parse(OperatorFile("/x.yaml", 0, "a: b: c"))


@given(st.text(max_size=200))
def test_any_text_is_a_file_or_a_value_error(text: str) -> None:
    for name in ("/x.json", "/x.yaml"):
        try:
            parse(OperatorFile(name, 0, text))
        except ValueError:
            continue
