"""A base document of the configuration under the one of a container (containerd calls it base_runtime_spec).

What neither request nor configuration says comes from the base: mounts, limits, hooks, environment, sysctls. Who runs,
in which namespaces and confined by what is the request's alone: a base for all cannot know what one pod was refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from criserver.errors import InvalidArgument
from criserver.model.edits import STAGES
from criserver.spec import checks

# Not taken from a base, by dotted place.
_OURS_ALONE = frozenset(
    checks.words(
        "ociVersion annotations root process.args process.commandLine process.cwd process.terminal process.consoleSize "
        "process.user.uid process.user.gid process.user.additionalGids process.user.username process.capabilities "
        "process.noNewPrivileges process.apparmorProfile process.selinuxLabel linux.namespaces linux.uidMappings "
        "linux.gidMappings linux.cgroupsPath linux.seccomp linux.maskedPaths linux.readonlyPaths linux.mountLabel"
    )
)


def under(base: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with what it lacks from `base`; neither is changed."""
    return _merged(base, document, "")


def check(base: Mapping[str, Any]) -> None:
    """InvalidArgument names the first place of a base whose form would not let it be merged."""
    for place in _JOINED:
        *above, name = place.split(".")
        holder: Any = base
        for depth, part in enumerate(above, 1):
            holder = holder.get(part, {})
            if not isinstance(holder, Mapping):
                raise InvalidArgument(f"{'.'.join(above[:depth])} is not an object; see the OCI runtime specification")
        _check_list(holder.get(name, []), place)


def _check_list(given: object, place: str) -> None:
    member = _MEMBER.get(place)
    kind = str if place == "process.env" else Mapping
    if not isinstance(given, list) or not all(isinstance(each, kind) for each in given):
        raise InvalidArgument(f"{place} is not a list of {'texts' if kind is str else 'objects'}")
    if member and not all(isinstance(each.get(member), str) for each in given):
        raise InvalidArgument(f"{place}: each needs {member!r}, a text")


def nested(mounts: Iterable[Any], more: Iterable[Any]) -> list[Any]:
    """`mounts` and `more`, of other destinations; each of these before what lies in it, which it would hide."""
    result = list(mounts)
    for mount in more:
        below = (at for at, each in enumerate(result) if checks.beneath(each["destination"], mount["destination"]))
        result.insert(next(below, len(result)), mount)
    return result


def _merged(base: Mapping[str, Any], document: Mapping[str, Any], where: str) -> dict[str, Any]:
    result = dict(document)
    for key, below in base.items():
        place = f"{where}.{key}" if where else key
        if place in _OURS_ALONE:
            continue
        ours = document.get(key)
        if ours is None:
            result[key] = _merged(below, {}, place) if isinstance(below, Mapping) else below
        elif isinstance(ours, Mapping) and isinstance(below, Mapping):
            result[key] = _merged(below, ours, place)
        elif isinstance(ours, list) and isinstance(below, list) and place in _JOINED:
            result[key] = _JOINED[place](below, ours)
    return result


def _by(name: str) -> Callable[[list[Any], list[Any]], list[Any]]:
    """Joins lists of objects that are told apart by one of their members; ours count."""

    def join(base: list[Any], ours: list[Any]) -> list[Any]:
        known = {each[name] for each in ours}
        return [*(each for each in base if each[name] not in known), *ours]

    return join


def _environment(base: list[str], ours: list[str]) -> list[str]:
    known = {entry.partition("=")[0] for entry in ours}
    return [*(entry for entry in base if entry.partition("=")[0] not in known), *ours]


def _mounts(base: list[Any], ours: list[Any]) -> list[Any]:
    taken = {mount["destination"] for mount in ours}
    return nested(ours, [mount for mount in base if mount["destination"] not in taken])


def _device_rules(base: list[Any], ours: list[Any]) -> list[Any]:
    """Ours begin with "deny all", which must stay the first."""
    return [*ours[:1], *base, *ours[1:]]


def _after(base: list[Any], ours: list[Any]) -> list[Any]:
    return [*base, *ours]


# What tells the objects of a list apart.
_MEMBER = {
    "mounts": "destination",
    "process.rlimits": "type",
    "linux.devices": "path",
    "linux.resources.hugepageLimits": "pageSize",
}
_JOINED: dict[str, Callable[[list[Any], list[Any]], list[Any]]] = {
    "mounts": _mounts,
    "process.env": _environment,
    "process.rlimits": _by("type"),
    "linux.devices": _by("path"),
    "linux.resources.devices": _device_rules,
    "linux.resources.hugepageLimits": _by("pageSize"),
    **{f"hooks.{stage}": _after for stage in STAGES},
}
