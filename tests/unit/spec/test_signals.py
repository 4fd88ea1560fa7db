"""Signals by name and number."""

import signal

import pytest

from criserver.errors import InvalidArgument
from criserver.spec import signals


@pytest.mark.parametrize(
    ("config", "image", "wanted"),
    [
        ("", "", "SIGTERM"),
        ("", "SIGQUIT", "SIGQUIT"),
        ("SIGUSR1", "SIGQUIT", "SIGUSR1"),
        ("", "quit", "SIGQUIT"),
        ("", "3", "SIGQUIT"),
        ("", "37", "SIGRTMIN+3"),
        ("", "RTMIN+3", "SIGRTMIN+3"),
        ("", "SIGRTMAX-14", "SIGRTMAX-14"),
        ("", "64", "SIGRTMAX"),
    ],
)
def test_stop_signal(config: str, image: str, wanted: str) -> None:
    assert signals.stop_signal(config, image) == wanted


@pytest.mark.parametrize(
    "given", ["SIGNOPE", "0", "65", "999", "-1", "1000", "SIGRTMIN+16", "SIGRTMAX-15", "TERM ", "١"]
)
def test_what_is_no_signal(given: str) -> None:
    with pytest.raises(InvalidArgument, match="StopSignal"):
        signals.stop_signal("", given)
    with pytest.raises(InvalidArgument, match=r"config\.stop_signal"):
        signals.stop_signal(given, "")


def test_numbers() -> None:
    for member in signal.Signals:
        if member < 32:
            assert signals.number(member.name) == member
            assert signals.canonical(str(int(member)), "f") == member.name
    assert [signals.number(name) for name in ("SIGRTMIN", "SIGRTMIN+15", "SIGRTMAX-14", "SIGRTMAX")] == [34, 49, 50, 64]
    assert signals.number("SIGCLD") == signal.SIGCHLD
    assert signals.number("SIGPOLL") == signal.SIGIO


def test_every_number_has_one_name() -> None:
    for number in [*range(1, 32), *range(34, 65)]:
        assert signals.number(signals.canonical(str(number), "f")) == number
