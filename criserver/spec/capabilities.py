"""Capabilities of a container's processes (capabilities(7)): which names exist, and which sets a request comes to.

Inheritable and ambient sets are always empty (CVE-2022-27652, CVE-2022-24769), in exec as well. What the daemon lacks
itself it cannot give: such capabilities are left out, and `withheld` says which.
"""

from __future__ import annotations

from collections.abc import Iterable

from criserver.errors import InvalidArgument
from criserver.model.security import Capabilities, ContainerSecurity
from criserver.spec.checks import words

ALL: tuple[str, ...] = words(
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE",
    prefix="CAP_",
)
"""Every capability, in the kernel's order: the place in the tuple is the number in linux/capability.h."""

DEFAULT: tuple[str, ...] = words(
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE "
    "SETFCAP",
    prefix="CAP_",
)
"""What a container has when nothing is asked: the fourteen that images have come to rely on."""

_KNOWN = frozenset(ALL)


def granted(security: ContainerSecurity, default: Iterable[str], held: frozenset[str]) -> tuple[str, ...]:
    """The capabilities of the container's processes, in the kernel's order, of those that the daemon has (`held`).

    InvalidArgument for a name that the kernel does not know, and for ambient capabilities.
    """
    return tuple(name for name in wanted(security, default) if name in held)


def withheld(security: ContainerSecurity, default: Iterable[str], held: frozenset[str]) -> tuple[str, ...]:
    """Those that the request comes to and that the daemon does not have to give, for its log."""
    return tuple(name for name in wanted(security, default) if name not in held)


def wanted(security: ContainerSecurity, default: Iterable[str]) -> tuple[str, ...]:
    """What the request comes to: first ALL, add before drop, then single names, again add before drop."""
    asked = security.capabilities
    add, drop = _names(asked, "add"), _names(asked, "drop")
    if asked.add_ambient:
        raise InvalidArgument(
            f"capabilities.add_ambient_capabilities: {', '.join(asked.add_ambient)}: ambient capabilities are always "
            "empty here; use add_capabilities, and file capabilities in the image for processes of other users"
        )
    if security.privileged:
        return ALL
    names = set(ALL if "ALL" in add else default)
    if "ALL" in drop:
        names = set()
    names = (names | add) - drop
    return tuple(name for name in ALL if name in names)


def sets(names: Iterable[str]) -> dict[str, list[str]]:
    """process.capabilities of an OCI document (runtime-spec config.md, "capabilities")."""
    held = list(names)
    return {"bounding": held, "effective": held, "permitted": list(held), "inheritable": [], "ambient": []}


def _names(asked: Capabilities, list_name: str) -> frozenset[str]:
    names: tuple[str, ...] = getattr(asked, list_name)
    return frozenset(_name(name, f"capabilities.{list_name}_capabilities") for name in names)


def _name(given: str, field: str) -> str:
    upper = given.upper()
    if upper == "ALL":
        return upper
    name = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if name not in _KNOWN:
        raise InvalidArgument(
            f"{field}: {given!r} is not a capability; see capabilities(7) for their names, or use ALL"
        )
    return name
