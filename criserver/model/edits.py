"""Changes to a container's document that come from files of the operator: CDI devices and OCI hooks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
"""When a runtime runs hooks (runtime-spec config.md, "POSIX-platform Hooks")."""

# vendor/class=device, as the CDI specification writes a fully qualified name.
_CDI_NAME = re.compile(
    r"(?P<kind>[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?/[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"=(?P<name>[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?)",
    re.ASCII,
)
_CDI_ANNOTATION = "cdi.k8s.io/"


@dataclass(frozen=True, slots=True)
class Hook:
    """A program that the runtime runs at some stages; `args` include the program's own name; `timeout` in seconds."""

    stages: tuple[str, ...]
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class EditedDevice:
    """A device node; `type` as in OCI ("c", "b", "u", "p"). None for what is the container's or runtime's own."""

    path: str
    type: str
    major: int = 0
    minor: int = 0
    mode: int | None = None
    permissions: str = "rwm"
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class EditedMount:
    """A mount as OCI writes it."""

    source: str
    destination: str
    type: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edits:
    """What is added to a document; `rdt` are the keys of linux.intelRdt, empty for none."""

    env: tuple[str, ...] = ()
    devices: tuple[EditedDevice, ...] = ()
    mounts: tuple[EditedMount, ...] = ()
    hooks: tuple[Hook, ...] = ()
    gids: tuple[int, ...] = ()
    rdt: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, more: Edits) -> Edits:
        return Edits(
            self.env + more.env,
            self.devices + more.devices,
            self.mounts + more.mounts,
            self.hooks + more.hooks,
            self.gids + more.gids,
            more.rdt or self.rdt,
        )


NO_EDITS = Edits()


@dataclass(frozen=True, slots=True)
class HookRule:
    """A file of a hooks directory: the hook, and the containers that get it. None for a condition that is not there.

    All conditions must hold, and there must be one (oci-hooks(5), version 1.0.0).
    """

    hook: Hook
    always: bool | None = None
    has_bind_mounts: bool | None = None
    annotations: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = ()
    commands: tuple[re.Pattern[str], ...] = ()


def cdi_name(text: str) -> tuple[str, str] | None:
    """Kind ("vendor/class") and name of a full name of a CDI device; None when it is no such name."""
    found = _CDI_NAME.fullmatch(text) if len(text) <= 512 else None
    return (found["kind"], found["name"]) if found else None


def cdi_requested(names: tuple[str, ...], annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The devices of a request: those of its field, then those of its annotations cdi.k8s.io/..., each once."""
    annotated = [
        name.strip()
        for key in sorted(annotations)
        if key.startswith(_CDI_ANNOTATION)
        for name in annotations[key].split(",")
    ]
    return tuple(dict.fromkeys([*names, *annotated]))
