"""What the wire tests share: captures, ways to cut input, and the one invariant they all check.

The invariant: however the input is cut, a machine tells the same story; and whatever the input is, it gives events or
a RemoteProtocolError, never another error, and after that error it gives the same error again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from criserver.streaming.wire.machine import NEED_DATA, Buffer, RemoteProtocolError

CAPTURES = Path(__file__).parent / "captures"


class Machine(Protocol):
    """What every machine of the package can do."""

    def receive_data(self, data: bytes) -> None: ...

    def next_event(self) -> Any: ...


def capture(name: str) -> tuple[bytes, bytes]:
    """A recorded client's request head, and what it sent after the upgrade."""
    text = (CAPTURES / f"{name}.hex").read_text("ascii")
    head, stream = text.partition("[head]")[2].split("[stream]")
    return bytes.fromhex(head), bytes.fromhex(stream)


def joined(buffers: Iterable[Buffer]) -> bytes:
    return b"".join(buffers)


def drain(machine: Machine) -> list[Any]:
    events = []
    while (event := machine.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def feed(machine: Machine, data: bytes) -> list[Any]:
    machine.receive_data(data)
    return drain(machine)


def feed_cut(machine: Machine, data: bytes, size: int) -> list[Any]:
    return [event for piece in cut(data, size) for event in feed(machine, piece)]


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def story(events: Iterable[Any]) -> list[tuple[Any, ...]]:
    """The events as tuples, the neighbouring pieces of one stream's data joined, their flags told after them."""
    told: list[tuple[Any, ...]] = []
    for event in events:
        values = {part.name: getattr(event, part.name) for part in fields(event)}
        name = type(event).__name__
        if name == "Answer" or "data" not in values:
            told.append((name, *values.values()))
            continue
        data = bytes(values.pop("data"))
        first, last = values.pop("first", False), values.pop("last", False) or values.pop("end_stream", False)
        values.pop("end_stream", None)
        key = (name, *values.values())
        if told and told[-1][:-1] == key and not first:
            told[-1] = (*key, told[-1][-1] + data)
        elif data or first:
            told.append((*key, data))
        if last:
            told.append((*key, "end"))
    return told


def check_cuts(make: Callable[[], Machine], data: bytes) -> list[tuple[Any, ...]]:
    """The story of `data`, which must be the same whole, byte by byte, and cut in between."""
    whole = story(feed(make(), data))
    for size in (1, 2, 7, 64):
        assert story(feed_cut(make(), data, size)) == whole, f"cut in pieces of {size}"
    return whole


def check_garbage(make: Callable[[], Machine], seed: bytes, rounds: int = 300) -> None:
    """Damage `seed` in many ways and feed it: events or RemoteProtocolError, and then that one for ever."""
    chance = random.Random(0)  # the same damage each time, so that a failure can be repeated
    for _ in range(rounds):
        survives(make(), damaged(seed, chance), chance.choice((1, 3, 50, 100_000)))


def damaged(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[place : place + 1] = bytes((chance.randrange(256),))
            case 1:
                data[place:place] = chance.randbytes(chance.randint(1, 20))
            case 2:
                del data[place : place + chance.randint(1, 20)]
            case _:
                data[place : place + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
    return bytes(data)


def survives(machine: Machine, data: bytes, size: int) -> RemoteProtocolError | None:
    for piece in cut(data, size):
        error = error_of(machine, piece)
        if error is not None:
            again = error_of(machine, b"")
            assert again is not None, f"went on after {error}"
            assert str(again) == str(error)
            return error
    return None


def error_of(machine: Machine, data: bytes) -> RemoteProtocolError | None:
    try:
        if data:
            machine.receive_data(data)
        drain(machine)
    except RemoteProtocolError as error:
        return error
    return None
