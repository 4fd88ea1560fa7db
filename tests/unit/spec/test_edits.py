"""Edits in a document: what is added, what is replaced, and what stays."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any

import pytest

from criserver.model.container import ProcessUser
from criserver.model.edits import NO_EDITS, EditedDevice, EditedMount, Edits, Hook, HookRule
from criserver.spec.assemble import build
from criserver.spec.edits import apply, matching, with_hooks
from tests.support import oci_schema, wishes

DOCUMENT = build(wishes.plain(user=ProcessUser(1000, 5, (5,))))
FULL = Edits(
    env=("PATH=/edited", "NEW=1"),
    devices=(
        EditedDevice("/dev/card", "c", 10, 229, 0o660, "rw", 7, 8),
        EditedDevice("/dev/disk", "b", 8, 0),
        EditedDevice("/dev/pipe", "p"),
    ),
    mounts=(EditedMount("/lib/driver", "/usr/lib/driver", "", ("ro", "bind")), EditedMount("/u", "/usr")),
    hooks=(Hook(("createRuntime",), "/bin/hook", ("hook", "x"), ("A=b",), 3), Hook(("poststop",), "/bin/end")),
    gids=(0, 5, 44, 44),
    rdt={"closID": "gold"},
)


def test_no_edits_change_nothing() -> None:
    assert apply(DOCUMENT, NO_EDITS) == DOCUMENT


def test_everything(schema: Any) -> None:
    before = copy.deepcopy(DOCUMENT)
    edited = apply(DOCUMENT, FULL)
    assert before == DOCUMENT
    oci_schema.check(schema, edited)
    env = edited["process"]["env"]
    assert "PATH=/edited" in env and "NEW=1" in env and sum(entry.startswith("PATH=") for entry in env) == 1
    assert edited["process"]["user"]["additionalGids"] == [5, 44]
    assert edited["linux"]["intelRdt"] == {"closID": "gold"}
    assert edited["hooks"] == {
        "createRuntime": [{"path": "/bin/hook", "args": ["hook", "x"], "env": ["A=b"], "timeout": 3}],
        "poststop": [{"path": "/bin/end"}],
    }


def test_devices_with_rules_behind_ours() -> None:
    edited = apply(DOCUMENT, FULL)["linux"]
    nodes = {node["path"]: node for node in edited["devices"]}
    assert nodes["/dev/card"] == {
        "path": "/dev/card", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660, "uid": 7, "gid": 8,
    }  # fmt: skip
    assert nodes["/dev/disk"] == {"path": "/dev/disk", "type": "b", "major": 8, "minor": 0, "uid": 1000, "gid": 5}
    assert nodes["/dev/pipe"] == {"path": "/dev/pipe", "type": "p", "uid": 1000, "gid": 5}
    rules = edited["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert [(rule["type"], rule["major"], rule["minor"], rule["access"]) for rule in rules[1:]] == [
        ("c", 10, 229, "rw"),
        ("b", 8, 0, "rwm"),
    ]


def test_mounts_replace_those_of_their_place_and_hide_nothing() -> None:
    edited = apply(DOCUMENT, replace(FULL, mounts=(*FULL.mounts, EditedMount("t", "/dev/mqueue", "tmpfs"))))
    places = [mount["destination"] for mount in edited["mounts"]]
    assert places.index("/usr") < places.index("/usr/lib/driver") and places.count("/dev/mqueue") == 1
    by_place = {mount["destination"]: mount for mount in edited["mounts"]}
    assert by_place["/usr"] == {"destination": "/usr", "source": "/u", "options": ["rbind"]}
    assert by_place["/usr/lib/driver"]["options"] == ["ro", "bind"]
    assert by_place["/dev/mqueue"]["type"] == "tmpfs"


def test_hooks_follow_those_that_are_there() -> None:
    first = with_hooks(DOCUMENT, [Hook(("poststop", "prestart"), "/one")])
    assert first["hooks"] == {"prestart": [{"path": "/one"}], "poststop": [{"path": "/one"}]}
    second = with_hooks(first, [Hook(("poststop",), "/two")])
    assert second["hooks"]["poststop"] == [{"path": "/one"}, {"path": "/two"}]
    assert first["hooks"]["poststop"] == [{"path": "/one"}]


def rule(**conditions: Any) -> HookRule:
    return HookRule(Hook(("prestart",), "/h"), **conditions)


def pair(key: str, value: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    return re.compile(key), re.compile(value)


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({}, False),
        ({"always": True}, True),
        ({"always": False}, False),
        ({"has_bind_mounts": True}, True),
        ({"has_bind_mounts": False}, False),
        ({"annotations": (pair("^org.x$", "^yes$"),)}, True),
        ({"annotations": (pair("org", "no"),)}, False),
        ({"annotations": (pair("org", "yes"), pair("other", "."))}, False),
        ({"commands": (re.compile("/ls$"), re.compile("/sh$"))}, True),
        ({"commands": (re.compile("/ls$"),)}, False),
        ({"always": True, "commands": (re.compile("/ls$"),)}, False),
        ({"always": True, "commands": (re.compile("sh"),), "has_bind_mounts": True}, True),
    ],
)
def test_conditions(conditions: dict[str, Any], matches: bool) -> None:
    found = matching([rule(**conditions)], "/bin/sh", {"org.x": "yes", "a": "b"}, bind_mounts=True)
    assert bool(found) is matches


def test_bind_mounts_are_those_of_the_request() -> None:
    assert matching([rule(has_bind_mounts=True)], "/bin/sh", {}, bind_mounts=False) == ()


def test_a_wish_brings_its_edits_and_hooks() -> None:
    rules = (rule(commands=(re.compile("^/bin/true$"),)), rule(always=False))
    wish = wishes.plain(edits=Edits(env=("NEW=1",)), hooks=rules)
    document = build(wish)
    assert "NEW=1" in document["process"]["env"] and document["hooks"] == {"prestart": [{"path": "/h"}]}
