"""What a row claims: which things its pod or container must have in its state, and which it may have besides.

Pure. A pod or container on its way from one state to another may have anything and must have nothing: whether that
goes well is the operation's business, not a check's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from criserver.model.container import Container, ContainerState
from criserver.model.findings import NAMESPACES, Kind, Thing
from criserver.model.sandbox import Sandbox, SandboxState
from criserver.model.security import NamespaceMode

_EVERYTHING = frozenset(Kind)
_KEPT_BY_STOPPED_PODS = frozenset({Kind.POD_FILES, Kind.POD_CGROUP})
_KEPT_BY_DEAD_CONTAINERS = frozenset(
    {
        Kind.MONITOR_FILES, Kind.BUNDLE, Kind.ROOT, Kind.WRITABLE, Kind.VOLUME, Kind.CGROUP, Kind.RUNTIME,
        Kind.MONITOR,  # a process that outlives its container holds its output open, and the monitor reads on
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """Kinds that must be there, and all that may."""

    must: frozenset[Kind]
    may: frozenset[Kind]


def of_pod(row: Sandbox) -> Claim:
    """What the pod sandbox claims."""
    if row.state is SandboxState.NOTREADY:
        return Claim(frozenset(), _KEPT_BY_STOPPED_PODS)
    if row.state is not SandboxState.READY:
        return Claim(frozenset(), _EVERYTHING)
    must = {Kind.UTS, Kind.POD_FILES, Kind.POD_CGROUP}
    if not row.config.host_network:
        must |= {Kind.NET, Kind.ATTACHMENT}
    if row.config.security.namespace_options.ipc is not NamespaceMode.NODE:
        must |= {Kind.IPC, Kind.SHM}
    if row.config.security.namespace_options.own_userns:
        must.add(Kind.USER)
    if row.pid_init:
        must |= {Kind.PID, Kind.POD_INIT}
    return Claim(frozenset(must), frozenset(must | {Kind.ADDRESS}))


def namespaces(row: Sandbox) -> tuple[str, ...]:
    """Kinds of namespaces that the pod has of its own and pinned, by the kernel's names."""
    must = of_pod(row).must
    return tuple(name for name, kind in NAMESPACES.items() if kind in must)


def of_container(row: Container) -> Claim:
    """What the container claims."""
    if row.state is ContainerState.EXITED:
        return Claim(frozenset(), _KEPT_BY_DEAD_CONTAINERS)
    if row.state not in (ContainerState.CREATED, ContainerState.RUNNING):
        return Claim(frozenset(), _EVERYTHING)
    must = set(_KEPT_BY_DEAD_CONTAINERS)
    if not row.image_volumes:
        must.remove(Kind.VOLUME)
    return Claim(frozenset(must), frozenset(must))


def left_over(things: Iterable[Thing], claims: dict[str, Claim]) -> Iterator[Thing]:
    """The things that nobody claims."""
    for thing in things:
        claim = claims.get(thing.owner)
        if claim is None or thing.kind not in claim.may:
            yield thing


def missing(things: Iterable[Thing], claims: dict[str, Claim]) -> Iterator[tuple[str, Kind]]:
    """What must be there and is not: the owner's id and the kind."""
    there = {(thing.owner, thing.kind) for thing in things}
    for owner, claim in claims.items():
        for kind in sorted(claim.must):
            if (owner, kind) not in there:
                yield owner, kind
