"""What the server and the helper say to each other: one JSON request on stdin, one JSON answer on stdout.

Request: {"layers": [{"blob": path, "target": path, "digest": d, "diff_id": d}], "parallel": n,
"entries": n, "bytes": n}, the last two bounds of each layer.
Answer: a list with one object per layer, in order, {"size": bytes, "inodes": n, "record": text}; or one object alone,
{"error": CODE, "message": text}, for the first layer that failed. CODE is a gRPC status name (criserver.errors.Code).
A layer without "blob" stands already: it is only looked at, an error of one is no reason to leave the others, and each
has its answer.
"""

from __future__ import annotations


class Refused(Exception):
    """This layer will not become a tree; `code` is a gRPC status name, the message says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def damaged(message: str) -> Refused:
    """The bytes are not what they should be."""
    return Refused("DATA_LOSS", message)


def hostile(message: str) -> Refused:
    """The archive wants something that no layer may do."""
    return Refused("INVALID_ARGUMENT", message)


def exhausted(message: str) -> Refused:
    """A bound was reached."""
    return Refused("RESOURCE_EXHAUSTED", message)


def shown(name: bytes) -> str:
    """An entry's name for a message: printable and bounded."""
    return repr(name[:200].decode("utf-8", "backslashreplace"))
