"""Filters of ListPodSandbox, ListContainers and their like, from protobuf. An empty part matches everything."""

from __future__ import annotations

from criserver.api.convert import fields
from criserver.api.pb import api_pb2 as pb
from criserver.model.container import ContainerFilter, ContainerState
from criserver.model.sandbox import SandboxFilter

_PREFIX = "CONTAINER_"
_STATES: dict[int, ContainerState] = {
    number: ContainerState(name.removeprefix(_PREFIX)) for name, number in pb.ContainerState.items()
}
_READY: dict[int, bool] = {pb.PodSandboxState.SANDBOX_READY: True, pb.PodSandboxState.SANDBOX_NOTREADY: False}


def sandbox_filter(given: pb.PodSandboxFilter) -> SandboxFilter:
    """PodSandboxFilter; InvalidArgument for a state that does not exist."""
    ready = fields.choice(given.state.state, _READY, "filter.state") if given.HasField("state") else None
    return SandboxFilter(given.id, ready, dict(given.label_selector))


def container_filter(given: pb.ContainerFilter) -> ContainerFilter:
    """ContainerFilter; InvalidArgument for a state that does not exist."""
    state = fields.choice(given.state.state, _STATES, "filter.state") if given.HasField("state") else None
    return ContainerFilter(given.id, given.pod_sandbox_id, state, dict(given.label_selector))
