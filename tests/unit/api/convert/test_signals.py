"""The CRI's signals and ours are the same ones."""

import pytest

from criserver.api.convert.signals import signal_name, signal_pb
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.spec import signals


def test_every_signal_of_the_enum_is_one_of_ours() -> None:
    for name, number in pb.Signal.items():
        own = signal_name(number, "f")
        if number == pb.Signal.SIGNAL_RUNTIME_DEFAULT:
            assert own == ""
        else:
            assert signals.canonical(own, "f") == own, name
            assert signal_pb(own) == number


def test_ours_that_the_enum_has() -> None:
    assert signal_name(pb.Signal.SIGNAL_SIGRTMINPLUS3, "f") == "SIGRTMIN+3"
    assert signal_name(pb.Signal.SIGNAL_SIGRTMAXMINUS14, "f") == "SIGRTMAX-14"
    assert {name for name in signals.NAMES if signal_pb(name) == 0} == set()
    assert signal_pb("") == signal_pb("SIGNOPE") == pb.Signal.SIGNAL_RUNTIME_DEFAULT


def test_unknown_numbers() -> None:
    with pytest.raises(InvalidArgument, match="f: 99"):
        signal_name(99, "f")
