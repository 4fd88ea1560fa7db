"""The loop: descriptors, timers, and what a failing callback does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from conmon.reactor import IN, Reactor


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """A reactor that is closed afterwards."""
    made = Reactor(lambda *_: None)
    yield made
    made.close()


def test_timers_fire_in_time_and_once(reactor: Reactor) -> None:
    fired: list[str] = []
    reactor.call_later(0.02, lambda: fired.append("b"))
    reactor.call_later(0.01, lambda: fired.append("a"))
    reactor.cancel(reactor.call_later(0.015, lambda: fired.append("cancelled")))
    reactor.cancel(None)
    reactor.call_later(0.05, reactor.stop)
    reactor.run()
    assert fired == ["a", "b"]


def test_a_failing_callback_is_reported_and_the_loop_goes_on(
    reactor: Reactor, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")

    def fail(_events: int) -> None:
        reactor.forget(reader)
        raise ValueError("told")

    reactor.watch(reader, IN, fail)
    reactor.call_later(0.02, reactor.stop)
    reactor.run()
    assert "ValueError: told" in capfd.readouterr().err
    os.close(reader)
    os.close(writer)


def test_forgotten_descriptors_are_silent_within_the_round(reactor: Reactor) -> None:
    pipes = [os.pipe() for _ in range(2)]
    seen: list[int] = []

    def first_only(fd: int) -> None:
        seen.append(fd)
        for reader, _ in pipes:
            reactor.forget(reader)

    for reader, writer in pipes:
        os.write(writer, b"x")
        reactor.watch(reader, IN, lambda _events, fd=reader: first_only(fd))  # type: ignore[misc]
    reactor.turn(1.0)
    assert len(seen) == 1
    for pair in pipes:
        for fd in pair:
            os.close(fd)
