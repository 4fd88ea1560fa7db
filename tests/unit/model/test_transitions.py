"""The lives of sandboxes and containers as tables: closed, without a way back, and without a dead end."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from criserver.errors import FailedPrecondition
from criserver.model.container import ContainerState as C
from criserver.model.sandbox import SandboxState as S
from criserver.model.transitions import CONTAINER, SANDBOX, check_container, check_sandbox

TABLES = [pytest.param(SANDBOX, S, id="sandbox"), pytest.param(CONTAINER, C, id="container")]


def reachable(table: Mapping[Any, frozenset[Any]], start: Any) -> set[Any]:
    found: set[Any] = set()
    todo = [start]
    while todo:
        for state in table[todo.pop()] - found:
            found.add(state)
            todo.append(state)
    return found


@pytest.mark.parametrize(("table", "states"), TABLES)
def test_every_state_has_a_line_is_reached_and_can_be_removed(table: Any, states: type[StrEnum]) -> None:
    assert table.keys() == set(states)
    creating, removing = states("CREATING"), states("REMOVING")
    assert reachable(table, creating) == set(states) - {creating}
    for state in states:
        assert removing in reachable(table, state)


@pytest.mark.parametrize(("table", "states"), TABLES)
def test_what_is_being_removed_or_was_made_never_comes_back(table: Any, states: type[StrEnum]) -> None:
    assert table[states("REMOVING")] == {states("REMOVING")}
    assert all(states("CREATING") not in after for after in table.values())


def test_what_has_ended_does_not_run_again() -> None:
    assert not reachable(CONTAINER, C.EXITED) & {C.CREATED, C.RUNNING, C.UNKNOWN}
    assert S.READY not in reachable(SANDBOX, S.STOPPING)


def test_deletes_may_be_repeated() -> None:
    # A stop or a remove that failed half-way is asked again, and begins anew from the state that it left.
    for state in (S.STOPPING, S.NOTREADY):
        check_sandbox("s1", state, S.STOPPING)
    check_sandbox("s1", S.REMOVING, S.REMOVING)
    check_container("c1", C.REMOVING, C.REMOVING)


def test_the_error_says_what_is_and_what_cannot_be() -> None:
    with pytest.raises(FailedPrecondition, match="container c1 is EXITED: it cannot become RUNNING"):
        check_container("c1", C.EXITED, C.RUNNING)
    with pytest.raises(FailedPrecondition, match="pod sandbox s1 is NOTREADY: it cannot become READY"):
        check_sandbox("s1", S.NOTREADY, S.READY)


@pytest.mark.parametrize("state", list(C))
def test_only_a_created_container_is_started(state: C) -> None:
    if state in (C.CREATED, C.UNKNOWN):
        check_container("c1", state, C.RUNNING)
        return
    with pytest.raises(FailedPrecondition):
        check_container("c1", state, C.RUNNING)
