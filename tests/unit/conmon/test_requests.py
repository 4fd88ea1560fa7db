"""Requests read from messages: defaults, refusals that name the field, and unity with the client's records."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from conmon import records, requests
from conmon.protocol import ProtocolError

FULL: dict[str, Any] = {
    "container": records.ContainerSpec(
        id="c",
        directory="/d",
        bundle="/b",
        runtime=("/r", "--x"),
        create_flags=("--no-pivot",),
        systemd_cgroup=True,
        log_path="/l",
        terminal=True,
        stdin=True,
        stdin_once=True,
        stdio_uid=1,
        stdio_gid=2,
        oom_score_adj=-5,
        exit_path="/e",
    ),
    "exec": records.ExecSpec(
        id="c",
        exec_id="e",
        directory="/d",
        runtime=("/r",),
        process="/p",
        exec_flags=("--cgroup", "x"),
        systemd_cgroup=True,
        terminal=True,
        cgroup_procs=("/g",),
        umask=0o27,
    ),
    "podinit": records.PodInitSpec(
        id="p", net="/n", ipc="/i", uts="/u", user="/s", cgroup_procs=("/g",), oom_score_adj=3
    ),
    "userns": records.UserNamespaceSpec(
        id="p", uid_map="0 1 2\n", gid_map="0 3 4\n", kinds=("net", "uts"), sysctls=("a/b=c",)
    ),
}
KINDS: dict[str, Any] = {
    "container": requests.ContainerRequest,
    "exec": requests.ExecRequest,
    "podinit": requests.PodInitRequest,
    "userns": requests.UserNamespaceRequest,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_spec_arrives(kind: str) -> None:
    spec: Any = FULL[kind]
    assert all(getattr(spec, field.name) != field.default for field in dataclasses.fields(spec)), "set them all"
    request = KINDS[kind](records.to_message(spec))
    sent = {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(spec).items()}
    assert vars(request) == sent


@pytest.mark.parametrize("kind", KINDS)
def test_missing_fields_have_the_specs_defaults(kind: str) -> None:
    spec: Any = FULL[kind]
    required = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec) if f.default is dataclasses.MISSING}
    plain = dataclasses.asdict(type(spec)(**required))
    request = vars(KINDS[kind](records.to_message(type(spec)(**required))))
    if kind == "container":
        plain["exit_path"] = "/d/exit.json"
    assert request == {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "a/b"),
        ("id", ""),
        ("id", ".x"),
        ("id", "x" * 129),
        ("id", None),
        ("id", 5),
        ("id", "a\0b"),
        ("directory", "relative"),
        ("directory", ""),
        ("runtime", []),
        ("runtime", ["runc"]),
        ("runtime", "/r"),
        ("runtime", ["/r", 1]),
        ("terminal", 1),
        ("terminal", "yes"),
        ("stdio_uid", True),
        ("stdio_uid", "0"),
        ("oom_score_adj", 1.5),
        ("log_path", "relative"),
        ("create_flags", "--x"),
    ],
)
def test_a_bad_field_is_named(field: str, value: object) -> None:
    message = {**records.to_message(FULL["container"]), field: value}
    with pytest.raises(ProtocolError, match=f"field '{field}'"):
        requests.ContainerRequest(message)


def test_unknown_fields_are_ignored() -> None:
    message = {**records.to_message(FULL["container"]), "from_the_future": [1]}
    assert requests.ContainerRequest(message).id == "c"


def test_attach_defaults_to_nothing() -> None:
    assert vars(requests.AttachRequest({})) == {"stdin": False, "stdout": False, "stderr": False}


def test_only_kinds_that_a_user_namespace_may_own() -> None:
    message = {**records.to_message(FULL["userns"]), "kinds": ["net", "mnt"]}
    with pytest.raises(ProtocolError, match=r"field 'kinds' must hold net, ipc or uts, not \['mnt'\]"):
        requests.UserNamespaceRequest(message)
