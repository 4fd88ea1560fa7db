from __future__ import annotations

import pytest

from criserver.streaming.wire.machine import LocalProtocolError, RemoteProtocolError
from criserver.streaming.wire.spdy_flow import INITIAL_WINDOW, MAX_WINDOW, SESSION, FlowControl


def flow(*streams: int) -> FlowControl:
    control = FlowControl()
    for stream_id in streams:
        control.open(stream_id)
    return control


def test_sending_uses_both_windows() -> None:
    control = flow(1, 3)
    control.sent(1, INITIAL_WINDOW - 10)
    assert (control.sendable(1), control.sendable(3)) == (10, 10)
    assert control.grow(SESSION, 100)
    assert (control.sendable(1), control.sendable(3)) == (10, 110)
    with pytest.raises(LocalProtocolError, match="stream 1: 11 bytes to send, its window holds 10"):
        control.sent(1, 11)


def test_receiving_over_a_streams_window_is_that_streams_fault() -> None:
    control = flow(1, 3)
    assert control.received(1, INITIAL_WINDOW)
    assert control.consumed(1, INITIAL_WINDOW) == [(SESSION, INITIAL_WINDOW), (1, INITIAL_WINDOW)]
    assert control.received(1, 1)
    assert control.received(3, INITIAL_WINDOW - 1)
    control.consumed(7, INITIAL_WINDOW)
    assert not control.received(3, 2)


def test_receiving_over_the_sessions_window_is_the_connections() -> None:
    control = flow(1, 3)
    assert control.received(1, INITIAL_WINDOW)
    with pytest.raises(RemoteProtocolError, match="session's window"):
        control.received(3, 1)


def test_updates_are_few() -> None:
    control = flow(1)
    control.received(1, INITIAL_WINDOW)
    half = INITIAL_WINDOW // 2
    assert control.consumed(1, half - 1) == []
    assert control.consumed(1, 1) == [(SESSION, half), (1, half)]


def test_unknown_streams_count_for_the_session_alone() -> None:
    control = flow()
    assert control.received(9, INITIAL_WINDOW)
    assert control.consumed(9, INITIAL_WINDOW) == [(SESSION, INITIAL_WINDOW)]
    assert control.grow(9, MAX_WINDOW)


def test_windows_may_not_overflow() -> None:
    control = flow(1)
    assert not control.grow(1, MAX_WINDOW)
    with pytest.raises(RemoteProtocolError, match="session window"):
        control.grow(SESSION, MAX_WINDOW)


def test_settings_move_streams_even_below_zero() -> None:
    control = flow(1)
    control.grow(SESSION, INITIAL_WINDOW)
    control.sent(1, INITIAL_WINDOW)
    control.resize(10)
    assert control.sendable(1) == 0
    control.open(3)
    assert control.sendable(3) == 10
    control.grow(1, INITIAL_WINDOW)
    assert control.sendable(1) == 10
    with pytest.raises(RemoteProtocolError, match="initial window"):
        control.resize(MAX_WINDOW + 1)


def test_forgotten_streams_leave_nothing() -> None:
    control = flow(1)
    control.forget(1)
    control.forget(1)
    assert control.sendable(1) == 0
    assert control.received(1, 1)


def test_a_willing_side_gives_credit_and_heeds_windows_from_the_peers_first_word_about_them() -> None:
    control = FlowControl(strict=False)
    control.open(1)
    control.sent(1, 10 * INITIAL_WINDOW)
    assert control.sendable(1) == MAX_WINDOW
    assert control.received(1, 10 * INITIAL_WINDOW)  # more than a window: the peer does not care
    assert control.arrived(INITIAL_WINDOW) == [(SESSION, INITIAL_WINDOW)]
    assert control.consumed(1, 100) == []
    assert control.consumed(1, INITIAL_WINDOW) == [(1, INITIAL_WINDOW + 100)]
    assert control.grow(SESSION, 20 * INITIAL_WINDOW)
    assert control.sendable(1) == 0
    assert control.grow(1, 9 * INITIAL_WINDOW + 5)
    assert control.sendable(1) == 5


def test_a_willing_side_heeds_settings() -> None:
    control = FlowControl(strict=False)
    control.open(1)
    control.resize(7)
    assert control.sendable(1) == 7
