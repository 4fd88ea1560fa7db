"""What each pod and container uses, computed of two readings of the CRI's stats. Pure but for `look`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from criserver.api.pb import api_pb2 as pb
from criserver.cli.client import errors
from criserver.cli.status.node import pod

if TYPE_CHECKING:
    from criserver.cli.client import Client

_PSI = ("cpu", "memory", "io")


@dataclass(frozen=True)
class Row:
    """A pod, or a container in it.

    `cores`: CPU time used per time, 1.0 is one core. `memory`: the working set in bytes; `limit` None without one.
    `pressure`: by resource, the share (percent) of the last ten seconds in which something waited for it. None: the
    kernel does not tell, or nothing runs. `restarts`: how often the kubelet has made it anew, of a pod all together.
    """

    name: str
    state: str
    id: str
    restarts: int
    cores: float | None = None
    memory: int | None = None
    limit: int | None = None
    pressure: Mapping[str, float] | None = None
    containers: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """One look at a server: pods as listed, and the stats of pods and containers by id."""

    pods: list[dict[str, Any]]
    stats: Mapping[str, Any]


def look(client: Client) -> Reading:
    """Ask a server; CriError as it says."""
    runtime = client.runtime
    with errors():
        listed = runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items
        containers = runtime.ListContainers(pb.ListContainersRequest()).containers
        found = runtime.ListPodSandboxStats(pb.ListPodSandboxStatsRequest()).stats
    stats = {each.attributes.id: each.linux for each in found}
    stats |= {each.attributes.id: each for of_pod in found for each in of_pod.linux.containers}
    return Reading([pod(each, containers) for each in listed], stats)


def rows(now: Reading, before: Reading | None, order: str) -> list[Row]:
    """A row per pod with its containers, by `order`: cpu, memory (most first) or name."""
    found = [_pod(each, now, before) for each in now.pods]
    keys = {
        "cpu": lambda row: (-(row.cores or 0.0), row.name),
        "memory": lambda row: (-(row.memory or 0), row.name),
        "name": lambda row: row.name,
    }
    return sorted(found, key=keys[order])


def _pod(found: Mapping[str, Any], now: Reading, before: Reading | None) -> Row:
    # A container that was made anew is listed with the one before it: the newest counts.
    newest = {each["name"]: each for each in sorted(found["containers"], key=lambda each: int(each["attempt"]))}
    inside = [_row(each, each["name"], now, before) for each in newest.values()]
    name = f"{found['namespace']}/{found['name']}"
    return _row(found, name, now, before, inside)


def _row(
    found: Mapping[str, Any], name: str, now: Reading, before: Reading | None, inside: list[Row] | None = None
) -> Row:
    stats = now.stats.get(found["id"])
    earlier = before.stats.get(found["id"]) if before else None
    restarts = sum(row.restarts for row in inside) if inside is not None else int(found["attempt"])
    row = {"name": name, "state": found["state"], "id": found["id"], "restarts": restarts, "containers": inside or []}
    if stats is None:
        return Row(**row)
    memory = stats.memory
    limited = memory.HasField("available_bytes")
    return Row(
        **row,
        cores=cores(stats.cpu, earlier.cpu if earlier is not None else None),
        memory=memory.working_set_bytes.value if memory.HasField("working_set_bytes") else None,
        limit=memory.working_set_bytes.value + memory.available_bytes.value if limited else None,
        pressure=_pressure(stats),
    )


def cores(now: Any, before: Any) -> float | None:
    """CPU time per time between two readings; what the server says of itself when there is but one."""
    if before is None or now.timestamp <= before.timestamp:
        return float(now.usage_nano_cores.value) / 1e9 if now.HasField("usage_nano_cores") else None
    used = now.usage_core_nano_seconds.value - before.usage_core_nano_seconds.value
    return max(0.0, float(used) / float(now.timestamp - before.timestamp))


def _pressure(stats: Any) -> dict[str, float] | None:
    found = {name: getattr(stats, name) for name in _PSI}
    if not any(each.HasField("psi") for each in found.values()):
        return None
    return {name: each.psi.Some.Avg10 for name, each in found.items()}
