"""Exec and attach over the wire: the words of Kubernetes' remotecommand protocol, whatever carries it.

    v1: stdin, stdout, stderr, error (text)     v2: as v1, its half-close mended     v3: adds resize
    v4: the error stream carries a metav1.Status as JSON, with the exit code         v5: WebSocket clients close stdin

(k8s.io/cri-streaming, pkg/streaming/remotecommand/constants.go.) The two carriers are `remotecommand_spdy` and
`remotecommand_websocket`; both are a `RemoteCommand`. It must not know processes or containers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, Protocol, TypeAlias

from criserver.streaming.wire.channels import Encoding
from criserver.streaming.wire.machine import Answer, Buffer, NeedData

_INTERNAL_ERROR = 500


class Version(IntEnum):
    """Protocol versions, in rising order of what they can do."""

    V1 = 1
    V2 = 2
    V3 = 3
    V4 = 4
    V5 = 5


class StreamType(Enum):
    """The streams, by the value of their `streamType` header."""

    STDIN = "stdin"
    STDOUT = "stdout"
    STDERR = "stderr"
    ERROR = "error"
    RESIZE = "resize"


CHANNELS: Final = {
    StreamType.STDIN: 0,
    StreamType.STDOUT: 1,
    StreamType.STDERR: 2,
    StreamType.ERROR: 3,
    StreamType.RESIZE: 4,
}
"""The channel that each stream has in a WebSocket."""

SPDY_PROTOCOLS: Final = {
    "v5.channel.k8s.io": Version.V5,
    "v4.channel.k8s.io": Version.V4,
    "v3.channel.k8s.io": Version.V3,
    "v2.channel.k8s.io": Version.V2,
    "channel.k8s.io": Version.V1,
}
"""What X-Stream-Protocol-Version may ask for."""

WEBSOCKET_PROTOCOLS: Final = {
    "v5.channel.k8s.io": (Version.V5, Encoding.BINARY),
    "v4.channel.k8s.io": (Version.V4, Encoding.BINARY),
    "v4.base64.channel.k8s.io": (Version.V4, Encoding.BASE64),
    "channel.k8s.io": (Version.V1, Encoding.BINARY),
    "base64.channel.k8s.io": (Version.V1, Encoding.BASE64),
    "": (Version.V1, Encoding.BINARY),
}
"""What Sec-WebSocket-Protocol may ask for; "": nothing was asked."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The streams that the CRI request asks for. A tty has no stderr of its own."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    def expected(self, version: Version) -> frozenset[StreamType]:
        """The streams that a SPDY client must open before the command may start."""
        asked = {
            StreamType.ERROR: True,
            StreamType.STDIN: self.stdin,
            StreamType.STDOUT: self.stdout,
            StreamType.STDERR: self.stderr and not self.tty,
            StreamType.RESIZE: self.tty and version >= Version.V3,
        }
        return frozenset(stream for stream, wanted in asked.items() if wanted)


@dataclass(frozen=True, slots=True)
class Status:
    """How the command ended: `exit_code` when it ran, `message` when it failed or could not run."""

    exit_code: int | None = 0
    message: str = ""

    def encode(self, version: Version) -> bytes:
        """What the error stream carries: JSON of metav1.Status from v4 on, before that the message, if any."""
        if version < Version.V4:
            return self._text().encode("utf-8")
        return json.dumps(self._metav1(), separators=(",", ":")).encode("utf-8")

    def _text(self) -> str:
        if self.exit_code == 0:
            return ""
        return self.message or f"command terminated with exit code {self.exit_code}"

    def _metav1(self) -> dict[str, object]:
        if self.exit_code == 0:
            return {"metadata": {}, "status": "Success"}
        failure: dict[str, object] = {"metadata": {}, "status": "Failure", "message": self._text()}
        if self.exit_code is None:
            return failure | {"reason": "InternalError", "code": _INTERNAL_ERROR}
        causes = [{"reason": "ExitCode", "message": str(self.exit_code)}]
        return failure | {"reason": "NonZeroExitCode", "details": {"causes": causes}}


@dataclass(frozen=True, slots=True)
class TerminalSize:
    """Columns and rows."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class StreamsReady:
    """Every stream is there: the command may start."""


@dataclass(frozen=True, slots=True)
class StdinReceived:
    """Input for the command; it may come before `StreamsReady`."""

    data: Buffer


@dataclass(frozen=True, slots=True)
class StdinClosed:
    """The command's input ends here."""


@dataclass(frozen=True, slots=True)
class Resized:
    """The client's terminal has this size now."""

    size: TerminalSize


@dataclass(frozen=True, slots=True)
class OutputRefused:
    """The client wants no more of this stream; what is sent on it goes nowhere."""

    stream: StreamType


@dataclass(frozen=True, slots=True)
class PeerGone:
    """The client ended the session; nobody is there for what follows."""

    reason: str


RemoteCommandEvent: TypeAlias = StreamsReady | StdinReceived | StdinClosed | Resized | OutputRefused | PeerGone | Answer


class RemoteCommand(Protocol):
    """The server's side of one exec or attach session; what the methods return is to be written, in order."""

    @property
    def missing(self) -> frozenset[StreamType]:
        """Streams that the client has still to open."""

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; then drain `next_event()`."""

    def next_event(self) -> RemoteCommandEvent | NeedData:
        """The next thing the client did, or NEED_DATA; RemoteProtocolError when it broke the protocol."""

    def send_output(self, stream: StreamType, data: Buffer) -> list[Buffer]:
        """Output of the command; nothing when the client did not open that stream, or no longer wants it."""

    def close_output(self, stream: StreamType) -> list[Buffer]:
        """The command closed this output."""

    def finish(self, status: Status) -> list[Buffer]:
        """Outputs closed, the status told, the session over; close the connection after writing it."""
