"""Files of hooks directories, as oci-hooks(5) has them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.drivers.injections.oci_hooks import parse, rules
from criserver.drivers.injections.operator_files import OperatorFile
from criserver.model.edits import Hook


def document(**changes: Any) -> dict[str, Any]:
    hook = {"path": "/bin/true"}
    return {"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": ["prestart"], **changes}


def file(path: str = "/d/a.json", priority: int = 0, **changes: Any) -> OperatorFile:
    return OperatorFile(path, priority, json.dumps(document(**changes)))


def test_everything() -> None:
    rule = parse(
        file(
            hook={"path": "/bin/sh", "args": ["sh", "-c", ":"], "env": ["A=b"], "timeout": 5},
            when={
                "always": False,
                "annotations": {"^a$": "b|c"},
                "commands": [".*/ls"],
                "hasBindMounts": True,
            },
            stages=["poststop", "createRuntime", "poststop"],
        )
    )
    assert rule.hook == Hook(("poststop", "createRuntime"), "/bin/sh", ("sh", "-c", ":"), ("A=b",), 5)
    assert (rule.always, rule.has_bind_mounts) == (False, True)
    assert [(key.pattern, value.pattern) for key, value in rule.annotations] == [("^a$", "b|c")]
    assert [pattern.pattern for pattern in rule.commands] == [".*/ls"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "0.1.0"}, "version '0.1.0'; known is 1.0.0"),
        ({"more": 1}, "unknown field `more`"),
        ({"when": {"cmd": []}}, "unknown field `cmd`"),
        ({"hook": {"path": "bin/true"}}, "no executable file with an absolute path"),
        ({"hook": {"path": "/not/there"}}, "no executable file"),
        ({"hook": {"path": "/etc/passwd"}}, "no executable file"),
        ({"hook": {"path": "/bin/true", "timeout": -1}}, "hook.timeout -1"),
        ({"stages": []}, "stages none"),
        ({"stages": ["later"]}, "stages later"),
        ({"when": {"commands": ["("]}}, "not a regular expression"),
    ],
)
def test_faults(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(file(**changes))
    found, fault = rules([file("/d/good.json"), file("/d/wrong.json", **changes)])
    assert found == () and fault.startswith("hook /d/wrong.json: ")


def test_order_of_names_and_the_later_directory() -> None:
    files = [
        file("/usr/B.json", 0, hook={"path": "/bin/true", "args": ["usr-b"]}),
        file("/usr/a.json", 0, hook={"path": "/bin/true", "args": ["usr-a"]}),
        file("/etc/B.json", 1, hook={"path": "/bin/true", "args": ["etc-b"]}),
    ]
    found, fault = rules(files)
    assert fault == "" and [rule.hook.args for rule in found] == [("usr-a",), ("etc-b",)]
    assert rules([]) == ((), "")


@given(st.text(max_size=200))
def test_any_text_is_a_rule_or_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        parse(OperatorFile("/d/a.json", 0, text))
