"""Versions of the CNI specification: which exist, what each brought, and which one to speak.

A version is the string that the specification uses ("1.0.0"); order is the order of `KNOWN`. Everything here is pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .errors import IncompatibleVersion

KNOWN = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
"""Every released version, oldest first (SPEC.md, "Released versions")."""

NEWEST = KNOWN[-1]
DEFAULT = "0.1.0"
"""What a configuration without `cniVersion` means: the key came with 0.2.0."""

SINCE = {
    "prevResult": "0.3.0",
    "CHECK": "0.4.0",
    "prevResult on DEL": "0.4.0",
    "ips without version": "1.0.0",
    "STATUS": "1.1.0",
    "GC": "1.1.0",
    "interface mtu": "1.1.0",
}
"""Feature → the first version that has it."""

_SEMVER = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}(?:[-+][0-9A-Za-z.+-]{1,64})?", re.ASCII)


def known(version: str) -> bool:
    """Say whether `version` is a released one."""
    return version in KNOWN


def supports(version: str, feature: str) -> bool:
    """Say whether a known `version` has `feature`, a key of `SINCE`."""
    return KNOWN.index(version) >= KNOWN.index(SINCE[feature])


def well_formed(version: str) -> bool:
    """Say whether `version` is a semantic version at all (spec, section 1, cniVersion)."""
    return _SEMVER.fullmatch(version) is not None


def offered(versions: Iterable[str]) -> tuple[str, ...]:
    """Return the versions of a configuration that this library speaks, oldest first.

    Raises IncompatibleVersion when none is left; versions of a later day beside a known one are skipped, as the
    specification intends `cniVersions` to be used.
    """
    wanted = tuple(versions)
    spoken = tuple(version for version in KNOWN if version in wanted)
    if not spoken:
        raise IncompatibleVersion(
            f"no CNI version in common: the configuration asks for {listing(wanted)}, "
            f"this library speaks {listing(KNOWN)}"
        )
    return spoken


def choose(versions: Sequence[str], plugins: Iterable[frozenset[str]]) -> str | None:
    """Return the highest of a configuration's `versions` that all `plugins` speak, or None.

    `versions` is oldest first. A plugin that did not tell its versions is left out by the caller.
    """
    sets = tuple(plugins)
    return next((v for v in reversed(versions) if all(v in speaks for speaks in sets)), None)


def listing(versions: Iterable[str]) -> str:
    """Return versions for a message, quoted and bounded."""
    quoted = [f'"{version[:32]}"' for version in versions]
    return ", ".join(quoted[:12]) + (", ..." if len(quoted) > 12 else "") if quoted else "none"
