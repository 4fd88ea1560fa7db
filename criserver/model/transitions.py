"""What may become of what: the life of a sandbox and of a container as two literal tables.

A pair that is not in its table is an error with a message for the caller. `check_*` raise it; nothing else decides.
"""

from __future__ import annotations

from criserver.errors import FailedPrecondition
from criserver.model.container import ContainerState as C
from criserver.model.sandbox import SandboxState as S

SANDBOX: dict[S, frozenset[S]] = {
    S.CREATING: frozenset({S.READY}),
    S.READY: frozenset({S.STOPPING, S.NOTREADY}),
    S.STOPPING: frozenset({S.STOPPING, S.NOTREADY, S.REMOVING}),
    S.NOTREADY: frozenset({S.STOPPING, S.NOTREADY, S.REMOVING}),
    S.REMOVING: frozenset({S.REMOVING}),
}

CONTAINER: dict[C, frozenset[C]] = {
    C.CREATING: frozenset({C.CREATED}),
    C.CREATED: frozenset({C.RUNNING, C.EXITED, C.REMOVING}),
    C.RUNNING: frozenset({C.EXITED, C.UNKNOWN, C.REMOVING}),
    C.EXITED: frozenset({C.REMOVING}),
    C.UNKNOWN: frozenset({C.RUNNING, C.EXITED, C.REMOVING}),
    C.REMOVING: frozenset({C.REMOVING}),
}


def check_sandbox(sandbox_id: str, now: S, then: S) -> None:
    """FailedPrecondition unless a sandbox in `now` may become `then`."""
    if then not in SANDBOX[now]:
        raise FailedPrecondition(f"pod sandbox {sandbox_id} is {now}: it cannot become {then}")


def check_container(container_id: str, now: C, then: C) -> None:
    """FailedPrecondition unless a container in `now` may become `then`."""
    if then not in CONTAINER[now]:
        raise FailedPrecondition(f"container {container_id} is {now}: it cannot become {then}")
