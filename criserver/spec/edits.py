"""Edits of CDI devices and hooks of hooks directories, made in a document that is complete but for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from criserver.model.edits import NO_EDITS, STAGES, EditedDevice, EditedMount, Edits, Hook, HookRule
from criserver.spec import base

Document = dict[str, Any]


def apply(document: Document, edits: Edits) -> Document:
    """The document with the edits; later ones of the same variable, path or destination count, the document is kept."""
    if edits == NO_EDITS:
        return document
    process, linux = document["process"], document["linux"]
    resources = linux["resources"]
    rdt = {"intelRdt": dict(edits.rdt)} if edits.rdt else {}
    return with_hooks(
        {
            **document,
            "process": {
                **process,
                "user": _user(process["user"], edits.gids),
                "env": _environment(process["env"], edits.env),
            },
            "mounts": _mounts(document["mounts"], edits.mounts),
            "linux": {
                **linux,
                **rdt,
                "devices": _nodes(linux["devices"], edits.devices, process["user"]),
                "resources": {**resources, "devices": [*resources["devices"], *_rules(edits.devices)]},
            },
        },
        edits.hooks,
    )


def with_hooks(document: Document, hooks: Iterable[Hook]) -> Document:
    """The document with the hooks, after those that it has."""
    found: dict[str, list[dict[str, Any]]] = {stage: list(given) for stage, given in document.get("hooks", {}).items()}
    for hook in hooks:
        for stage in hook.stages:
            found.setdefault(stage, []).append(_hook(hook))
    ordered = {stage: found[stage] for stage in STAGES if found.get(stage)}
    return {**document, "hooks": ordered} if ordered else document


def matching(
    rules: Iterable[HookRule], command: str, annotations: Mapping[str, str], *, bind_mounts: bool
) -> tuple[Hook, ...]:
    """The hooks of those rules whose conditions all hold for a container (oci-hooks(5), "when")."""
    return tuple(rule.hook for rule in rules if _matches(rule, command, annotations, bind_mounts=bind_mounts))


def _matches(rule: HookRule, command: str, annotations: Mapping[str, str], *, bind_mounts: bool) -> bool:
    held = []
    if rule.always is not None:
        held.append(rule.always)
    if rule.has_bind_mounts is not None:
        held.append(rule.has_bind_mounts and bind_mounts)
    for key, value in rule.annotations:
        held.append(any(key.search(name) and value.search(text) for name, text in annotations.items()))
    if rule.commands:
        held.append(any(pattern.search(command) for pattern in rule.commands))
    return bool(held) and all(held)


def _hook(hook: Hook) -> dict[str, Any]:
    result: dict[str, Any] = {"path": hook.path}
    optional = {"args": list(hook.args), "env": list(hook.env), "timeout": hook.timeout}
    return result | {key: value for key, value in optional.items() if value}


def _user(user: Mapping[str, Any], gids: Iterable[int]) -> dict[str, Any]:
    # A group 0 is not given away: the CDI specification has it ignored.
    more = [gid for gid in dict.fromkeys(gids) if gid and gid not in user.get("additionalGids", [])]
    return {**user, "additionalGids": [*user.get("additionalGids", []), *more]} if more else dict(user)


def _environment(env: Iterable[str], more: Iterable[str]) -> list[str]:
    merged = {entry.partition("=")[0]: entry for entry in (*env, *more)}
    return list(merged.values())


def _mounts(mounts: Iterable[Mapping[str, Any]], edits: Iterable[EditedMount]) -> list[Any]:
    added = {edit.destination: _mount(edit) for edit in edits}
    kept = [mount for mount in mounts if mount["destination"] not in added]
    return base.nested(kept, added.values())


def _mount(edit: EditedMount) -> dict[str, Any]:
    options = list(edit.options)
    if not edit.type and not {"bind", "rbind"} & set(options):
        options.insert(0, "rbind")  # What else could it be, with a path of the host and no type?
    mount = {"destination": edit.destination, "source": edit.source, "options": options}
    return mount | ({"type": edit.type} if edit.type else {})


def _nodes(nodes: Iterable[Mapping[str, Any]], edits: Iterable[EditedDevice], user: Mapping[str, Any]) -> list[Any]:
    found = {node["path"]: node for node in nodes}
    found |= {edit.path: _node(edit, user) for edit in edits}
    return [found[path] for path in sorted(found)]


def _node(edit: EditedDevice, user: Mapping[str, Any]) -> dict[str, Any]:
    """A node; one without an owner belongs to the container's user."""
    numbers = {} if edit.type == "p" else {"major": edit.major, "minor": edit.minor}
    optional = {
        "fileMode": edit.mode,
        "uid": (user["uid"] or None) if edit.uid is None else edit.uid,
        "gid": (user["gid"] or None) if edit.gid is None else edit.gid,
    }
    given = {key: value for key, value in optional.items() if value is not None}
    return {"path": edit.path, "type": edit.type, **numbers, **given}


def _rules(edits: Iterable[EditedDevice]) -> list[dict[str, Any]]:
    return [
        {"allow": True, "type": edit.type, "major": edit.major, "minor": edit.minor, "access": edit.permissions}
        for edit in edits
        if edit.type in ("b", "c")
    ]
