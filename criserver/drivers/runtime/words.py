"""What OCI runtimes print, as values: error lines, versions, features. Pure; the bytes are not trusted."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

# An error goes into a gRPC status, whose metadata clients bound at 8 KiB.
_MAX_WORDS = 4096


@dataclass(frozen=True, slots=True)
class Features:
    """What of `runc features` (runtime-spec features.md) the CRI reports.

    `maps_single_mounts`: what is mounted below a source is not in its idmapped mount, rbind or not.
    """

    recursive_read_only: bool = False
    idmapped_mounts: bool = False
    maps_single_mounts: bool = False


def last_error(stderr: bytes) -> str:
    """The last error message of a runtime that logs JSON lines, or its last line of text; "" when it was silent."""
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [message for message in map(_error_of, lines) if message]
    words = errors[-1] if errors else (lines[-1].strip() if lines else "")
    return words[:_MAX_WORDS]


def _error_of(line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or str(entry.get("level", "error")) not in ("error", "fatal", "panic"):
        return ""
    return str(entry.get("msg", "")).strip()


def version(stdout: bytes) -> str:
    """The version in what `runc --version` or `crun --version` prints first: "runc version 1.1.5"."""
    first = stdout.decode("utf-8", "replace").partition("\n")[0]
    return first.rpartition(" version ")[2].strip()[:128]


def release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: (1, 8, 1) of "1.8.1-dev"; empty when it begins with none."""
    found = re.match(r"\d{1,9}(\.\d{1,9})*", version, re.ASCII)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def features(stdout: bytes) -> Features:
    """What a runtime says of itself in `features`; a document that does not fit says nothing."""
    try:
        document = json.loads(stdout)
    except ValueError:
        return Features()
    options = document.get("mountOptions") if isinstance(document, dict) else None
    idmap = _at(document, "linux", "mountExtensions", "idmap")
    return Features(
        recursive_read_only=isinstance(options, list) and "rro" in options,
        idmapped_mounts=isinstance(idmap, dict) and idmap.get("enabled") is True,
    )


def known(version_stdout: bytes) -> Features:
    """What a runtime can that has no `features` to say so, by what `--version` prints.

    crun has that command since 1.8.6, and tells of idmapped mounts there since 1.9; it takes mappings the right way
    round since 1.8.1 (its NEWS), and has recursive read-only mounts since 1.0. It heeds rbind there since 1.9.
    """
    name, _, _ = version_stdout.decode("utf-8", "replace").partition(" ")
    number = release(version(version_stdout)) if name == "crun" else ()
    return Features(
        recursive_read_only=number >= (1, 0),
        idmapped_mounts=number >= (1, 8, 1),
        maps_single_mounts=(1, 8, 1) <= number < (1, 9),
    )


def _at(document: object, *names: str) -> object:
    for name in names:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document
