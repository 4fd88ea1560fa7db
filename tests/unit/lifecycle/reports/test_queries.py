"""What callers are shown, and what of it they asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from criserver.lifecycle.reports.queries import list_containers, list_sandboxes, visible
from criserver.model.container import (
    Container,
    ContainerConfig,
    ContainerFilter,
    ContainerMetadata,
    ContainerState,
    ImageSpec,
)
from criserver.model.sandbox import PodMetadata, Sandbox, SandboxConfig, SandboxFilter, SandboxState


def sandbox(key: str, state: SandboxState, labels: Mapping[str, str] | None = None) -> Sandbox:
    config = SandboxConfig(PodMetadata(key, "uid", "ns"), labels=labels or {})
    return Sandbox(key, config, "runc", state, 1)


def container(key: str, state: ContainerState, sandbox_id: str = "s1", labels: Any = None) -> Container:
    config = ContainerConfig(ContainerMetadata(key), ImageSpec("i"), labels=labels or {})
    return Container(key, sandbox_id, config, state, 1, "sha256:1")


SANDBOXES = [
    sandbox("aa1", SandboxState.READY, {"app": "web", "tier": "x"}),
    sandbox("aa2", SandboxState.NOTREADY, {"app": "web"}),
    sandbox("b1", SandboxState.STOPPING),
    sandbox("b2", SandboxState.REMOVING),
    sandbox("b3", SandboxState.CREATING, {"app": "web"}),
]
CONTAINERS = [
    container("aa1", ContainerState.CREATED, "s1", {"app": "web"}),
    container("aa2", ContainerState.RUNNING, "s2", {"app": "web", "tier": "x"}),
    container("b1", ContainerState.EXITED, "s1"),
    container("b2", ContainerState.REMOVING, "s1"),
    container("b3", ContainerState.CREATING, "s1", {"app": "web"}),
    container("b4", ContainerState.UNKNOWN, "t1"),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (SandboxFilter(), {"aa1", "aa2", "b1", "b2"}),
        (SandboxFilter(id="aa"), {"aa1", "aa2"}),
        (SandboxFilter(id="aa2"), {"aa2"}),
        (SandboxFilter(ready=True), {"aa1"}),
        (SandboxFilter(ready=False), {"aa2", "b1", "b2"}),
        (SandboxFilter(labels={"app": "web"}), {"aa1", "aa2"}),
        (SandboxFilter(labels={"app": "web", "tier": "x"}), {"aa1"}),
        (SandboxFilter(labels={"tier": ""}), set()),
        (SandboxFilter(id="b3"), set()),
    ],
)
def test_sandboxes(wanted: SandboxFilter, found: set[str]) -> None:
    assert {row.id for row in list_sandboxes(cast(Any, SANDBOXES), wanted)} == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ContainerFilter(), {"aa1", "aa2", "b1", "b2", "b4"}),
        (ContainerFilter(id="aa"), {"aa1", "aa2"}),
        (ContainerFilter(sandbox_id="s1"), {"aa1", "b1", "b2"}),
        (ContainerFilter(sandbox_id="s"), {"aa1", "aa2", "b1", "b2"}),
        (ContainerFilter(state=ContainerState.RUNNING), {"aa2"}),
        (ContainerFilter(state=ContainerState.EXITED), {"b1", "b2"}),
        (ContainerFilter(state=ContainerState.CREATED), {"aa1"}),
        (ContainerFilter(state=ContainerState.UNKNOWN), {"b4"}),
        (ContainerFilter(labels={"app": "web"}), {"aa1", "aa2"}),
        (ContainerFilter(id="aa", sandbox_id="s2", labels={"tier": "x"}), {"aa2"}),
        (ContainerFilter(id="aa1", state=ContainerState.RUNNING), set()),
    ],
)
def test_containers(wanted: ContainerFilter, found: set[str]) -> None:
    assert {row.id for row in list_containers(cast(Any, CONTAINERS), wanted)} == found


def test_what_is_being_removed_has_ended() -> None:
    assert visible(ContainerState.REMOVING) is ContainerState.EXITED
    assert {visible(state) for state in ContainerState} == set(ContainerState) - {ContainerState.REMOVING}


def test_an_empty_label_is_not_a_missing_one() -> None:
    rows = [replace(SANDBOXES[0], config=replace(SANDBOXES[0].config, labels={"tier": ""}))]
    assert list_sandboxes(cast(Any, rows), SandboxFilter(labels={"tier": ""})) == tuple(rows)
