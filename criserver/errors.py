"""The error tree of the whole server: what went wrong, in words for a person, with the gRPC code it becomes.

Every layer raises these; only `api/` translates them (one function, no other place knows gRPC). A message names the
field or object, the value, and the fix. Runtime, CNI and registry words are passed on in the message as they came.
The codes are those of gRPC (`grpc/status.md`), spelt as there, without importing gRPC.
"""

from __future__ import annotations

from enum import Enum


class Code(Enum):
    """The gRPC status codes that the CRI uses, by their gRPC names."""

    CANCELLED = "CANCELLED"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNKNOWN = "UNKNOWN"


class CriError(Exception):
    """Root of the tree; `code` is the gRPC status it becomes."""

    code = Code.UNKNOWN


class InvalidArgument(CriError):
    """The caller asked for something that has no meaning; asking again will not help."""

    code = Code.INVALID_ARGUMENT


class NotFound(CriError):
    """No such sandbox, container or image."""

    code = Code.NOT_FOUND


class AlreadyExists(CriError):
    """The name is taken by another object that its owner knows of."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(CriError):
    """The object is not in a state that allows this, or the host lacks what it needs."""

    code = Code.FAILED_PRECONDITION


class Ended(FailedPrecondition):
    """The container has ended, perhaps while the call was on its way: whoever probes containers meets this all day."""


class DeadlineExceeded(CriError):
    """A time limit of ours or the caller's ran out; the message says at which stage."""

    code = Code.DEADLINE_EXCEEDED


class Unavailable(CriError):
    """A thing outside (registry, monitor, network not ready) cannot serve now; trying again may help."""

    code = Code.UNAVAILABLE


class Unauthenticated(CriError):
    """A registry wants credentials, or refused those it got."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(CriError):
    """A policy (image signature, blocked registry) refuses this."""

    code = Code.PERMISSION_DENIED


class Busy(Unavailable):
    """It asks to be left alone for a while: trying again soon does not help."""


class SignatureRejected(PermissionDenied):
    """The signature policy refuses an image."""


class ResourceExhausted(CriError):
    """A bound was reached: disk, size, count."""

    code = Code.RESOURCE_EXHAUSTED


class Unimplemented(CriError):
    """The CRI has it, this server has it not yet; the message says so."""

    code = Code.UNIMPLEMENTED


class DataLoss(CriError):
    """Stored or received bytes are not what their digest says."""

    code = Code.DATA_LOSS


class Internal(CriError):
    """Something of ours or of the host failed; the message carries the failing program's own words."""

    code = Code.INTERNAL


class RuntimeFailed(CriError):
    """The OCI runtime refused or failed; carries runc's or crun's own message."""

    code = Code.UNKNOWN


class NetworkFailed(CriError):
    """A CNI plugin refused or failed; carries the plugin's own message."""

    code = Code.UNKNOWN


class ConfigError(CriError):
    """The server's own configuration is wrong; the message names the file and the key."""

    code = Code.INVALID_ARGUMENT
