"""Errors that are told to a client, and how an unexpected one is reported.

``ConmonError`` carries words for people; the serving side sends them as a REPLY's ``error``.
"""

from __future__ import annotations

import os
import sys


class ConmonError(Exception):
    """Something that a client must be told; its text names what failed and the runtime's or kernel's own words."""


def describe(error: BaseException) -> str:
    """One line for *error* with its kind, unless its text is meant for people already."""
    if isinstance(error, (ConmonError, ValueError, OSError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def report() -> None:
    """Print the exception that is being handled on stderr with its traceback; never raises.

    The interpreter's own hook is used, since importing ``traceback`` is beyond the import budget.
    """
    try:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    except OSError:
        os.write(2, b"conmon: an error could not be reported\n")
