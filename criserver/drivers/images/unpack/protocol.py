"""What the server and the helper say to each other, in packets of a socket (unix(7), SOCK_SEQPACKET).

A request is a JSON object. {"id": n, "target": path, "digest": d, "diff_id": d, "size": n, "slot": n, "entries": n,
"bytes": n} comes with the descriptor of a blob of `size` bytes, a file or a pipe, to be unpacked into the directory
`target`; `entries` and `bytes` bound what it may hold, and `digest` is empty when whoever sends the blob checks that.
With a "file", a path there, the blob is what that file holds.
While that goes on, the number of bytes read so far stands in the counters' file, 8 bytes in the machine's order at
`slot` × 8. Without a descriptor, {"id": n, "target": path, "slot": n} looks at a layer that stands already.
{"cancel": n} ends what `n` began.
An answer is the id in decimal, a blank, and a JSON object: {"size": bytes, "inodes": n, "record": text} of the tree, or
{"error": CODE, "message": text}. CODE is a gRPC status name (criserver.errors.Code). Answers come as layers end.
"""

from __future__ import annotations

PACKET = 1 << 16
"""Longest request or answer, in bytes."""
COUNTER = 8
"""Bytes of a counter."""
DATA_LOSS = "DATA_LOSS"


class Refused(Exception):
    """This layer will not become a tree; `code` is a gRPC status name, the message says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def damaged(message: str) -> Refused:
    """The bytes are not what they should be."""
    return Refused(DATA_LOSS, message)


def hostile(message: str) -> Refused:
    """The archive wants something that no layer may do."""
    return Refused("INVALID_ARGUMENT", message)


def exhausted(message: str) -> Refused:
    """A bound was reached."""
    return Refused("RESOURCE_EXHAUSTED", message)


def shown(name: bytes) -> str:
    """An entry's name for a message: printable and bounded."""
    return repr(name[:200].decode("utf-8", "backslashreplace"))
