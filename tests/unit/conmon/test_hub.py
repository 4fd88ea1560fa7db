"""Attached clients: fan-out, replay, stdin."""

from __future__ import annotations

from typing import Any

from conmon import protocol
from conmon.hub import REPLAY, Hub
from conmon.requests import AttachRequest

OUT, ERR = protocol.STDOUT, protocol.STDERR
BOTH = AttachRequest({"stdin": True, "stdout": True, "stderr": True})


class Client:
    """Stands for a peer."""

    def __init__(self) -> None:
        self.got: list[tuple[int, bytes]] = []
        self.paused = False

    def send(self, packet: bytes) -> None:
        self.got.append(protocol.decode(packet))

    def pause(self, paused: bool) -> None:
        self.paused = paused


class Stdin:
    """Stands for the container's input."""

    def __init__(self) -> None:
        self.data, self.ended, self.full = b"", False, False

    def write(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        self.ended = True


def hub(replay: bool = False, once: bool = False) -> tuple[Hub, Any]:
    """A hub and its stdin."""
    made, stdin = Hub(replay, once), Stdin()
    made.stdin = stdin  # type: ignore[assignment]
    return made, stdin


def test_each_client_gets_what_it_asked_for() -> None:
    made, _ = hub()
    everything, errors = Client(), Client()
    made.attach(everything, BOTH)  # type: ignore[arg-type]
    made.attach(errors, AttachRequest({"stderr": True}))  # type: ignore[arg-type]
    made.publish(OUT, b"o")
    made.publish(ERR, b"e")
    made.detach(everything)  # type: ignore[arg-type]
    made.publish(OUT, b"late")
    assert everything.got == [(OUT, b"o"), (ERR, b"e")]
    assert errors.got == [(ERR, b"e")]


def test_early_output_is_kept_for_the_first_client_only_and_bounded() -> None:
    made, _ = hub(replay=True)
    for number in range(100):
        made.publish(OUT, bytes([number]) * 10000)
    first, second = Client(), Client()
    made.attach(first, BOTH)  # type: ignore[arg-type]
    made.attach(second, BOTH)  # type: ignore[arg-type]
    kept = b"".join(data for _, data in first.got)
    assert REPLAY - 10000 <= len(kept) <= REPLAY and kept.endswith(bytes([99]) * 10000)
    assert second.got == []


def test_without_stdin_nothing_is_kept() -> None:
    made, _ = hub()
    made.publish(OUT, b"early")
    client = Client()
    made.attach(client, BOTH)  # type: ignore[arg-type]
    assert client.got == []


def test_stdin_is_the_clients_that_asked_for_it_and_held_back_when_full() -> None:
    made, stdin = hub()
    feeder, watcher = Client(), Client()
    made.attach(feeder, BOTH)  # type: ignore[arg-type]
    made.attach(watcher, AttachRequest({"stdout": True}))  # type: ignore[arg-type]
    made.receive(watcher, protocol.STDIN, b"no")  # type: ignore[arg-type]
    stdin.full = True
    made.receive(feeder, protocol.STDIN, b"yes")  # type: ignore[arg-type]
    assert stdin.data == b"yes" and feeder.paused
    made.resume()
    assert not feeder.paused
    made.receive(feeder, protocol.STDIN_EOF, b"")
    made.detach(feeder)
    assert not stdin.ended


def test_stdin_once_ends_with_eof_or_with_its_client() -> None:
    for leave in ("eof", "detach"):
        made, stdin = hub(once=True)
        watcher, feeder = Client(), Client()
        made.attach(watcher, AttachRequest({"stdout": True}))  # type: ignore[arg-type]
        made.attach(feeder, BOTH)  # type: ignore[arg-type]
        made.detach(watcher)  # type: ignore[arg-type]
        assert not stdin.ended
        if leave == "eof":
            made.receive(feeder, protocol.STDIN_EOF, b"")  # type: ignore[arg-type]
        else:
            made.detach(feeder)  # type: ignore[arg-type]
        assert stdin.ended
