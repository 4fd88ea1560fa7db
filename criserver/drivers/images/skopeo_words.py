"""What skopeo says, as errors: it has one exit status for everything, so what happened is in its words.

They are passed on as they are, but for secrets that URLs carry. Pure.
"""

from __future__ import annotations

import re

from criserver import errors

_FATAL = re.compile(r'level=(?:fatal|error) msg="((?:[^"\\]|\\.)*)"')
_QUERY = re.compile(r"(https?://[^\s?\"]*)\?[^\s\"]*")
_RETRY_AFTER = re.compile(r"Detected 'Retry-After' header \\?\"([^\"\\]{1,80})")
_USERINFO = re.compile(r"(https?://)[^\s/@\"]*@")

# The first match counts.
_MEANINGS: tuple[tuple[type[errors.CriError], tuple[str, ...]], ...] = (
    (errors.ResourceExhausted, ("no space left on device", "disk quota exceeded", "exceeded maximum allowed size")),
    (errors.InvalidArgument, ("invalid reference format",)),
    (errors.FailedPrecondition, ("decrypting layer",)),
    (errors.PermissionDenied, ("is blocked in",)),
    (errors.SignatureRejected, ("rejected by policy", "signature was required", "image rejected")),
    (errors.DataLoss, ("digest did not match", "did not match, expected", "does not match", "corrupted blob")),
    (errors.Unauthenticated, ("unauthorized", "authentication required", "invalid username/password", "401 ")),
    (errors.PermissionDenied, ("denied", "forbidden", "403 ")),
    (errors.NotFound, ("manifest unknown", "name unknown", "not known to registry", "no image found", "404 ")),
    (errors.Busy, ("toomanyrequests", "too many requests", "429 ")),
    (errors.Unavailable, ("pinging container registry", "dial tcp")),
    (errors.Unavailable, ("http status: 5", "from registry 5", "no such host", "connection re", "eof")),
    (errors.Unavailable, ("x509", "tls:", "timeout")),
)


def explain(source: str, output: str, returncode: int | None = None) -> errors.CriError:
    """The error that skopeo's output means, in skopeo's words; no return code: it goes on."""
    words = _FATAL.findall(output)
    text = words[-1].replace('\\"', '"').replace("\\\\", "\\") if words else output.strip()[-1000:]
    text = _USERINFO.sub(r"\1", _QUERY.sub(r"\1?…", text))
    lowered = text.lower()
    for meaning, signs in _MEANINGS:
        if any(sign in lowered for sign in signs):
            return meaning(f"{source}: {text}{_asked(output) if meaning is errors.Busy else ''}")
    ended = "" if returncode is None else f"skopeo ended with status {returncode}: "
    return errors.Internal(f"{source}: {ended}{text or 'no output'}")


def asked_to_wait(source: str, output: str, seconds: float) -> errors.Busy | None:
    """The error when the time was up because the registry asked for time: skopeo waits, a minute at most each time."""
    if not (asked := _asked(output)):
        return None
    return errors.Busy(f"{source}: too many requests to the registry{asked}; given up after {seconds:g} s")


def _asked(output: str) -> str:
    times = _RETRY_AFTER.findall(output)
    return f": it asks to be left alone (Retry-After: {times[-1]})" if times else ""
