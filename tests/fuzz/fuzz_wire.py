"""Coverage-guided fuzzing of the streaming protocols: no bytes may do more than raise RemoteProtocolError.

    pip install atheris
    python tests/fuzz/fuzz_wire.py CORPUS_FOLDER [-max_total_time=60]

The first byte of an input picks the machine, the second how the rest is cut. The corpus starts from the captures of
real clients. Besides the invariant of `tests/unit/streaming/wire/kit.py`, whatever state the peer brought a session
into, the server must be able to end it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
atheris: Any = importlib.import_module("atheris")

# Imported under instrumentation, or the fuzzer would see no coverage.
with atheris.instrument_imports(include=["criserver", "h11", "wsproto"]):
    from criserver.streaming.tunnelled import TunnelledPortForward
    from criserver.streaming.wire.channels import Encoding
    from criserver.streaming.wire.http1 import HttpConnection
    from criserver.streaming.wire.machine import NEED_DATA, RemoteProtocolError
    from criserver.streaming.wire.portforward import ForwardOpened
    from criserver.streaming.wire.portforward_spdy import SpdyPortForward
    from criserver.streaming.wire.portforward_websocket import WebSocketPortForward
    from criserver.streaming.wire.remotecommand import Status, StreamOptions, StreamType, Version
    from criserver.streaming.wire.remotecommand_spdy import SpdyRemoteCommand
    from criserver.streaming.wire.remotecommand_websocket import WebSocketRemoteCommand
    from criserver.streaming.wire.spdy import Role, SpdyConnection
    from criserver.streaming.wire.spdy_flow import Flow
    from criserver.streaming.wire.tunnel import SpdyTunnel
    from criserver.streaming.wire.websocket import WebSocketConnection
    from tests.unit.streaming.wire.kit import CAPTURES, capture

ALL = StreamOptions(stdin=True, stdout=True, stderr=True, tty=False)
TTY = StreamOptions(stdin=True, stdout=True, stderr=False, tty=True)
CUTS = (1, 2, 3, 7, 16, 64, 1000, 1 << 20)

MAKERS: tuple[Callable[[], Any], ...] = (
    HttpConnection,
    lambda: SpdyConnection(Role.SERVER),
    lambda: SpdyConnection(Role.SERVER, flow=Flow.STRICT),
    lambda: SpdyConnection(Role.CLIENT, flow=Flow.STRICT),
    lambda: SpdyConnection(Role.SERVER, flow=Flow.WILLING),
    WebSocketConnection,
    lambda: SpdyTunnel(WebSocketConnection()),
    lambda: SpdyRemoteCommand(Version.V4, ALL),
    lambda: SpdyRemoteCommand(Version.V3, TTY),
    lambda: WebSocketRemoteCommand(Version.V5, Encoding.BINARY, TTY),
    lambda: WebSocketRemoteCommand(Version.V4, Encoding.BASE64, ALL),
    SpdyPortForward,
    TunnelledPortForward,
    lambda: WebSocketPortForward(Encoding.BINARY, (80, 81)),
    lambda: WebSocketPortForward(Encoding.BASE64, (80,)),
)


def fuzz(data: bytes) -> None:
    """One input: feed it, answer as a server would, and end whatever it began."""
    if len(data) < 2:
        return
    machine, size = MAKERS[data[0] % len(MAKERS)](), CUTS[data[1] % len(CUTS)]
    stream = data[2:]
    for start in range(0, len(stream), size):
        try:
            machine.receive_data(stream[start : start + size])
            answer(machine)
        except RemoteProtocolError:
            still_broken(machine)
            break
    end(machine)


def answer(machine: Any) -> None:
    """Drain the events; send something wherever a session would."""
    while (event := machine.next_event()) is not NEED_DATA:
        if isinstance(event, ForwardOpened):
            machine.send(event.forward_id, b"x"[: machine.room(event.forward_id)])
            machine.used(event.forward_id, 1 << 16)
            if event.forward_id % 4 == 1:
                machine.close(event.forward_id, "refused")
        elif isinstance(machine, HttpConnection):
            return
    if isinstance(machine, (SpdyRemoteCommand, WebSocketRemoteCommand)):
        machine.send_output(StreamType.STDOUT, b"x")


def still_broken(machine: Any) -> None:
    """After its error a machine gives nothing but that error."""
    try:
        machine.next_event()
    except RemoteProtocolError:
        return
    raise AssertionError(f"{machine} went on after an error")


def end(machine: Any) -> None:
    """The server gives up on the session, as it may at any time."""
    if isinstance(machine, (SpdyRemoteCommand, WebSocketRemoteCommand)):
        machine.finish(Status(1))
    elif isinstance(machine, (SpdyPortForward, TunnelledPortForward, WebSocketPortForward)):
        machine.sweep()
        machine.sweep()
        machine.finish()
    elif isinstance(machine, SpdyConnection):
        for stream_id in machine.open_streams:
            machine.acknowledge(stream_id, 1 << 15)
            machine.reset(stream_id)
        machine.go_away()


def seed(folder: Path) -> None:
    """Every capture for every machine, whole."""
    for path in CAPTURES.glob("*.hex"):
        head, stream = capture(path.stem)
        for number, maker in enumerate(MAKERS):
            data = head if maker is HttpConnection else stream
            (folder / f"{path.stem}-{number}").write_bytes(bytes((number, len(CUTS) - 1)) + data)


def main() -> None:
    """Fuzz until stopped, or for as long as the options say."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("the first argument must be the corpus folder")
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    seed(corpus)
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
