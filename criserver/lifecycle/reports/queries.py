"""Which rows a caller sees, and which of them its filter wants. Pure but for reading the repositories."""

from __future__ import annotations

from collections.abc import Mapping

from criserver.model.container import Container, ContainerFilter, ContainerState
from criserver.model.sandbox import Sandbox, SandboxFilter, SandboxState
from criserver.state.containers import Containers
from criserver.state.sandboxes import Sandboxes


def list_sandboxes(sandboxes: Sandboxes, wanted: SandboxFilter) -> tuple[Sandbox, ...]:
    """Sandboxes that match, without those still being made."""
    return tuple(row for row in sandboxes if row.state is not SandboxState.CREATING and _sandbox(row, wanted))


def list_containers(containers: Containers, wanted: ContainerFilter) -> tuple[Container, ...]:
    """Containers that match, without those still being made."""
    return tuple(row for row in containers if row.state is not ContainerState.CREATING and _container(row, wanted))


def visible(state: ContainerState) -> ContainerState:
    """The state as the CRI has it: one that is being removed has ended."""
    return ContainerState.EXITED if state is ContainerState.REMOVING else state


def _sandbox(row: Sandbox, wanted: SandboxFilter) -> bool:
    ready = row.state is SandboxState.READY
    return (
        row.id.startswith(wanted.id)
        and (wanted.ready is None or wanted.ready == ready)
        and _labelled(row.config.labels, wanted.labels)
    )


def _container(row: Container, wanted: ContainerFilter) -> bool:
    return (
        row.id.startswith(wanted.id)
        and row.sandbox_id.startswith(wanted.sandbox_id)
        and (wanted.state is None or wanted.state is visible(row.state))
        and _labelled(row.config.labels, wanted.labels)
    )


def _labelled(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())
