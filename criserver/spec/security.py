"""Confinement: masked and read-only paths, seccomp, AppArmor and SELinux, as asked and as far as the host has them.

A profile that was asked for by name and cannot be applied is refused, never left out. A profile that nobody asked for
(None) is Unconfined for seccomp and the runtime's default for AppArmor, as the CRI has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.model.security import ProfileType, SelinuxOptions
from criserver.spec import capabilities, checks, seccomp, seccomp_default
from criserver.spec.wish import SpecWish

_POWERCAP = "/sys/devices/virtual/powercap"
_PROCESS = SelinuxOptions("system_u", "system_r", "container_t", "s0")
_FILE_ROLE, _FILE_TYPE = "object_r", "container_file_t"
_PRIVILEGED_TYPE = "spc_t"


def masked_paths(wish: SpecWish) -> list[str]:
    """linux.maskedPaths: those asked for, and the power meters, which tell of other processes (GHSA-7ww5-4wqc-m92c).

    None in a privileged container. In a user namespace an empty request stays empty: root there cannot read the
    meters, and a mask would forbid nested containers a sysfs of their own.
    """
    security = wish.config.security
    if security.privileged or (wish.user_namespace and not security.masked_paths):
        return []
    return _paths((*security.masked_paths, _POWERCAP), "masked_paths")


def readonly_paths(wish: SpecWish) -> list[str]:
    """linux.readonlyPaths: those asked for; none in a privileged container."""
    security = wish.config.security
    return [] if security.privileged else _paths(security.readonly_paths, "readonly_paths")


def seccomp_filter(wish: SpecWish) -> dict[str, Any] | None:
    """linux.seccomp; None for an unconfined or privileged container."""
    security = wish.config.security
    asked = security.seccomp
    if asked is None or asked.profile_type is ProfileType.UNCONFINED or security.privileged:
        return None
    if not wish.host.seccomp:
        raise FailedPrecondition(
            f"seccomp: {asked.profile_type} asked for, but this kernel has no seccomp; use Unconfined"
        )
    granted = capabilities.granted(security, wish.policy.default_capabilities, wish.host.capabilities)
    if asked.profile_type is ProfileType.RUNTIME_DEFAULT:
        profile = wish.policy.seccomp_profile or wish.host.seccomp_profile or seccomp_default.profile()
        return seccomp.convert(profile, frozenset(granted), wish.host)
    if not asked.localhost_ref or wish.seccomp_localhost is None:
        # An empty reference must not mean unconfined (CVE-2023-2431).
        raise InvalidArgument(f"seccomp.localhost_ref: {asked.localhost_ref!r} names no profile; give the path of one")
    return seccomp.convert(wish.seccomp_localhost, frozenset(granted), wish.host)


def apparmor_profile(wish: SpecWish) -> str:
    """process.apparmorProfile; empty for an unconfined process."""
    security, loaded = wish.config.security, wish.host.apparmor_profiles
    asked = security.apparmor
    if asked is None:
        return "" if security.privileged or loaded is None else wish.host.apparmor_default
    if asked.profile_type is ProfileType.UNCONFINED:
        return ""
    if asked.profile_type is ProfileType.RUNTIME_DEFAULT:
        if loaded is None or security.privileged:
            return ""
        name = wish.host.apparmor_default
        if not name:
            raise FailedPrecondition(
                "apparmor: RuntimeDefault asked for, but this server's profile is not loaded; install apparmor_parser "
                "(Debian package apparmor) and restart the server, or use Unconfined"
            )
    else:
        name = asked.localhost_ref.removeprefix("localhost/")
        if loaded is None:
            raise FailedPrecondition(
                f"apparmor: profile {name!r} asked for, but this host has no AppArmor; use Unconfined"
            )
    if name not in loaded:
        raise FailedPrecondition(f"apparmor: profile {name!r} is not loaded on this host; load it with apparmor_parser")
    return name


def selinux_labels(wish: SpecWish) -> tuple[str, str]:
    """Label of the process and of its files; both empty where the host has no SELinux.

    A privileged container without options of its own is not confined (type spc_t).
    """
    if not wish.host.selinux:
        return "", ""
    asked = wish.config.security.selinux or wish.sandbox.security.selinux
    if wish.config.security.privileged and wish.config.security.selinux is None:
        asked = SelinuxOptions(type=_PRIVILEGED_TYPE, level="s0")
    asked = asked or SelinuxOptions()
    level = asked.level or wish.selinux_level or _PROCESS.level
    user = asked.user or _PROCESS.user
    parts = (user, asked.role or _PROCESS.role, asked.type or _PROCESS.type, level)
    for part in parts:
        if not part.isascii() or not part.isprintable() or " " in part or '"' in part:
            raise InvalidArgument(f"selinux_options: {part[:80]!r} is not part of a label; see chcon(1)")
    return ":".join(parts), f"{user}:{_FILE_ROLE}:{_FILE_TYPE}:{level}"


def _paths(given: Iterable[str], field: str) -> list[str]:
    return list(dict.fromkeys(checks.absolute_path(path, field) for path in given))
