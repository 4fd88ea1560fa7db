"""What the doctor says of one thing on the host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much it matters: `error` keeps pods from running, `warning` breaks some of them, `note` is good to know."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, what it means for pods, and the command that mends it."""

    severity: Severity
    what: str
    meaning: str = ""
    fix: str = ""


def ok(what: str) -> Finding:
    """It is as it should be."""
    return Finding(Severity.OK, what)


def note(what: str, meaning: str, fix: str = "") -> Finding:
    """Good to know; nothing breaks."""
    return Finding(Severity.NOTE, what, meaning, fix)


def warning(what: str, meaning: str, fix: str) -> Finding:
    """Some pods, or some of what they do, will not work."""
    return Finding(Severity.WARNING, what, meaning, fix)


def error(what: str, meaning: str, fix: str) -> Finding:
    """No pod can run before this is mended."""
    return Finding(Severity.ERROR, what, meaning, fix)
