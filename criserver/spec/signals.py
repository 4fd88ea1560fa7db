"""Stop signals: from the request, else the image, else SIGTERM; and names to numbers and back (signal(7)).

A name is "SIGTERM" or, for real-time signals, "SIGRTMIN+3" or "SIGRTMAX-2". Numbers are those of Linux on x86, ARM
and most others, with the C library's SIGRTMIN of 34.
"""

from __future__ import annotations

import re
import signal

from criserver.errors import InvalidArgument

DEFAULT = "SIGTERM"
RTMIN = 34
RTMAX = 64

_NUMBERS: dict[str, int] = {
    "SIGCLD": int(signal.SIGCHLD),
    "SIGIOT": int(signal.SIGABRT),
    "SIGPOLL": int(signal.SIGIO),
    **{member.name: int(member) for member in signal.Signals if member < 32},
    "SIGSTKFLT": 16,
    "SIGRTMIN": RTMIN,
    "SIGRTMAX": RTMAX,
    **{f"SIGRTMIN+{n}": RTMIN + n for n in range(1, 16)},
    **{f"SIGRTMAX-{n}": RTMAX - n for n in range(14, 0, -1)},
}
_NAMES: dict[int, str] = {number: name for name, number in _NUMBERS.items()}
_NAMES.update({int(member): member.name for member in signal.Signals if member < 32})

NAMES: frozenset[str] = frozenset(_NUMBERS)
"""Every signal name that a stop signal may have."""


def stop_signal(config: str, image: str) -> str:
    """The name of the signal that asks a container to end; `config` counts more than `image`, both may be empty.

    An image may also say a number, or leave out "SIG". InvalidArgument for what is no signal.
    """
    if config:
        return canonical(config, "config.stop_signal")
    return canonical(image, "the image's StopSignal") if image else DEFAULT


def canonical(given: str, field: str) -> str:
    """The name of a signal given by name or number, in any case, with or without "SIG"."""
    if re.fullmatch("[0-9]{1,3}", given):
        name = _NAMES.get(int(given), "")
    else:
        upper = given.upper()
        name = upper if upper.startswith("SIG") else f"SIG{upper}"
    if name not in _NUMBERS:
        raise InvalidArgument(
            f"{field}: {given[:40]!r} is not a signal; give one of signal(7), such as SIGTERM or SIGRTMIN+3"
        )
    return name


def number(name: str) -> int:
    """The number of a signal by its canonical name."""
    return _NUMBERS[canonical(name, "signal")]
