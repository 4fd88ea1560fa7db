"""How commands write numbers for people: sizes, ages, shares; and names that came from pods. Pure."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_DAY, _HOUR, _MINUTE = 86400, 3600, 60


def size(count: int) -> str:
    """Bytes in three digits: 812 B, 1.4 MiB, 64 GiB."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit and value < 9.95 else f"{value:.0f} {_UNITS[unit]}"


def age(seconds: float) -> str:
    """A time span in its two largest units: 42s, 3m 5s, 2h 10m, 5d 4h."""
    whole = max(0, int(seconds))
    if whole >= _DAY:
        return f"{whole // _DAY}d {whole % _DAY // _HOUR}h"
    if whole >= _HOUR:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE}m"
    return f"{whole // _MINUTE}m {whole % _MINUTE}s" if whole >= _MINUTE else f"{whole}s"


def counted(count: int, what: str) -> str:
    """`1 pod`, `2 pods`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
