"""Events to the CRI's messages."""

from __future__ import annotations

from criserver.api.convert.container import container_status
from criserver.api.convert.sandbox import sandbox_status
from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.reports.events import Event, EventType

_TYPES: dict[EventType, pb.ContainerEventType.ValueType] = {
    EventType.CREATED: pb.ContainerEventType.CONTAINER_CREATED_EVENT,
    EventType.STARTED: pb.ContainerEventType.CONTAINER_STARTED_EVENT,
    EventType.STOPPED: pb.ContainerEventType.CONTAINER_STOPPED_EVENT,
    EventType.DELETED: pb.ContainerEventType.CONTAINER_DELETED_EVENT,
}


def event(given: Event) -> pb.ContainerEventResponse:
    """ContainerEventResponse, with full statuses: the kubelet need not ask back."""
    return pb.ContainerEventResponse(
        container_id=given.subject,
        container_event_type=_TYPES[given.type],
        created_at=given.created_at,
        pod_sandbox_status=sandbox_status(given.sandbox) if given.sandbox else None,
        containers_statuses=[container_status(row) for row in given.containers],
    )
