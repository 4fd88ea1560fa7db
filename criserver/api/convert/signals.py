"""The CRI's Signal enum and our names for signals ("SIGTERM", "SIGRTMIN+3"; see `spec.signals`)."""

from __future__ import annotations

from criserver.api.convert import fields
from criserver.api.pb import api_pb2 as pb

_RUNTIME_DEFAULT = pb.Signal.SIGNAL_RUNTIME_DEFAULT


def _own_name(name: str) -> str:
    """ "SIGNAL_SIGRTMINPLUS3" → "SIGRTMIN+3", "SIGNAL_SIGRTMAXMINUS2" → "SIGRTMAX-2"."""
    return name.removeprefix("SIGNAL_").replace("MINPLUS", "MIN+").replace("MAXMINUS", "MAX-")


_NAMES: dict[int, str] = {
    number: _own_name(name) if number != _RUNTIME_DEFAULT else "" for name, number in pb.Signal.items()
}
_NUMBERS: dict[str, pb.Signal.ValueType] = {_own_name(name): number for name, number in pb.Signal.items()}


def signal_name(number: int, field: str) -> str:
    """The name of a signal of the enum, empty for "the runtime's default"."""
    return fields.choice(number, _NAMES, field)


def signal_pb(name: str) -> pb.Signal.ValueType:
    """The enum's value for a name; "the runtime's default" for one that the enum does not have."""
    return _NUMBERS.get(name, _RUNTIME_DEFAULT)
