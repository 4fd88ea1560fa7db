"""Packets between a client, the zygote, its monitors and its exec sessions. Pure: no sockets, no clock, no files.

Transport: ``AF_UNIX`` ``SOCK_SEQPACKET``. The kernel keeps packet borders, so one send is one packet, and descriptors
that travel by ``SCM_RIGHTS`` belong to the packet they came with (unix(7)).

Byte layout of a packet::

    offset 0   u8   major version of this protocol (MAJOR)
    offset 1   u8   kind (REQUEST … STDIN_EOF below)
    offset 2…  payload, at most MAX_PAYLOAD bytes:
               REQUEST, REPLY, EVENT, CONTAINER   one JSON object in UTF-8
               STDIN, STDOUT, STDERR              the stream's bytes as they are, never empty
               STDIN_EOF                          nothing

    CONTAINER is a request without "op" for a container, on the zygote's socket for these.

    REQUEST  {"op": name, "seq": number, …}               answered by exactly one REPLY with the same seq
    REPLY    {"seq": number, …} or {"seq": number, "error": "words for people"}
    EVENT    {"event": "hello", "major", "minor", "role", "pid"}   first packet that a server sends on a connection
             {"event": "exit", …exit record…}                      from a monitor or session, before it closes

Compatibility, so that a newer daemon can take over the monitors of an older one (and the other way round):

* a field that the receiver does not know is ignored; a field that is missing has the default its reader names;
* a packet of an unknown kind and an event of an unknown name are ignored; an unknown ``op`` is answered with ``error``;
* fields never change their meaning. New ones are announced by a higher MINOR, which is information, not a gate;
* MAJOR changes only if these rules cannot be kept. The receiver then refuses the packet, naming both numbers.
"""

from __future__ import annotations

import json

MAJOR = 1
MINOR = 0

REQUEST, REPLY, EVENT, CONTAINER = 1, 2, 3, 4
STDIN, STDOUT, STDERR, STDIN_EOF = 16, 17, 18, 19

HEADER = 2
#: Below the default socket buffer (net.core.wmem_default, 208 KiB), so that a packet always fits into an empty one.
MAX_PAYLOAD = 64 * 1024
MAX_PACKET = HEADER + MAX_PAYLOAD

Message = dict[str, object]


class ProtocolError(ValueError):
    """A packet that cannot be understood; its text says which part and why."""


def encode(kind: int, payload: bytes = b"") -> bytes:
    """The packet that carries *payload*. Raises ProtocolError when it is longer than MAX_PAYLOAD."""
    if len(payload) > MAX_PAYLOAD:
        raise ProtocolError(f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD} fit into a packet")
    return bytes((MAJOR, kind)) + payload


def encode_message(kind: int, message: Message) -> bytes:
    """The packet for a REQUEST, REPLY or EVENT. Raises ProtocolError when it is too long."""
    return encode(kind, json.dumps(message, separators=(",", ":")).encode())


def decode(packet: bytes) -> tuple[int, bytes]:
    """Kind and payload of *packet*. Raises ProtocolError on a short, long or foreign packet."""
    if len(packet) < HEADER:
        raise ProtocolError(f"packet of {len(packet)} bytes has no header")
    if len(packet) > MAX_PACKET:
        raise ProtocolError(f"packet is longer than {MAX_PACKET} bytes")
    if packet[0] != MAJOR:
        raise ProtocolError(f"protocol version {packet[0]}, this side speaks {MAJOR}")
    return packet[1], packet[HEADER:]


def decode_message(payload: bytes) -> Message:
    """The JSON object of a REQUEST, REPLY or EVENT. Raises ProtocolError on anything else."""
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"payload is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ProtocolError("payload is not a JSON object")
    return message


def hello(role: str, pid: int = 0) -> bytes:
    """The packet with which a server opens a connection: its version, what it is and, from a zygote, its pid."""
    return encode_message(EVENT, {"event": "hello", "major": MAJOR, "minor": MINOR, "role": role, "pid": pid})


def stream_packets(kind: int, data: bytes) -> list[bytes]:
    """*data* cut into packets of *kind*, in order; none for no data."""
    if len(data) <= MAX_PAYLOAD:
        return [encode(kind, data)] if data else []
    return [encode(kind, data[at : at + MAX_PAYLOAD]) for at in range(0, len(data), MAX_PAYLOAD)]
