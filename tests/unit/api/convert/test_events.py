import pytest

from criserver.api.convert.events import event
from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.reports.events import Event, EventType
from criserver.model.container import Container, ContainerConfig, ContainerMetadata, ContainerState, ImageSpec
from criserver.model.sandbox import PodMetadata, Sandbox, SandboxConfig, SandboxState

POD = Sandbox("s1", SandboxConfig(PodMetadata("web", "u", "default")), "runc", SandboxState.READY, 1)
CONTAINER = Container(
    "c1", "s1", ContainerConfig(ContainerMetadata("main"), ImageSpec("i")), ContainerState.EXITED, 2, "i"
)


@pytest.mark.parametrize("type_", EventType)
def test_an_event_with_its_pod(type_: EventType) -> None:
    found = event(Event("c1", type_, 7, POD, (CONTAINER,)))
    assert (found.container_id, found.created_at) == ("c1", 7)
    assert pb.ContainerEventType.Name(found.container_event_type) == f"CONTAINER_{type_}_EVENT"
    assert found.pod_sandbox_status.metadata.name == "web"
    assert [each.state for each in found.containers_statuses] == [pb.ContainerState.CONTAINER_EXITED]


def test_a_removed_pod_is_unset() -> None:
    assert not event(Event("s1", EventType.DELETED, 7, None, ())).HasField("pod_sandbox_status")
