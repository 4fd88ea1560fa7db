"""Filters of lists."""

import pytest

from criserver.api.convert import filters
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.container import ContainerFilter, ContainerState
from criserver.model.sandbox import SandboxFilter


def test_empty_ones_match_all() -> None:
    assert filters.sandbox_filter(pb.PodSandboxFilter()) == SandboxFilter()
    assert filters.container_filter(pb.ContainerFilter()) == ContainerFilter()


def test_sandboxes() -> None:
    state = pb.PodSandboxStateValue(state=pb.PodSandboxState.SANDBOX_READY)
    given = pb.PodSandboxFilter(id="a", state=state, label_selector={"k": "v"})
    assert filters.sandbox_filter(given) == SandboxFilter("a", True, {"k": "v"})
    given.state.state = pb.PodSandboxState.SANDBOX_NOTREADY
    assert filters.sandbox_filter(given).ready is False


def test_containers() -> None:
    for number, state in enumerate(("CREATED", "RUNNING", "EXITED", "UNKNOWN")):
        value = pb.ContainerStateValue(state=number)  # type: ignore[arg-type]
        given = pb.ContainerFilter(id="a", pod_sandbox_id="b", state=value, label_selector={"k": "v"})
        assert filters.container_filter(given) == ContainerFilter("a", "b", ContainerState(state), {"k": "v"})


def test_unknown_states() -> None:
    with pytest.raises(InvalidArgument, match=r"filter\.state: 9"):
        filters.container_filter(pb.ContainerFilter(state=pb.ContainerStateValue(state=9)))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"filter\.state: 9"):
        filters.sandbox_filter(pb.PodSandboxFilter(state=pb.PodSandboxStateValue(state=9)))  # type: ignore[arg-type]
