"""skopeo, exec'd: every conversation with a registry, and every reading of an archive, goes through it.

It brings containers/image's own ways: registries.conf with mirrors and blocks, policy.json, certificates, retries.
Its words are passed on as they are, but for secrets that URLs carry. Credentials reach it by file only.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from criserver import errors
from criserver.drivers.manifests import DOCUMENT_LIMIT
from criserver.kernel.process import run

RESOLVE_SECONDS = 120.0
"""Time for one manifest, mirrors that do not answer included."""

_FATAL = re.compile(r'level=(?:fatal|error) msg="((?:[^"\\]|\\.)*)"')
_QUERY = re.compile(r"(https?://[^\s?\"]*)\?[^\s\"]*")
_USERINFO = re.compile(r"(https?://)[^\s/@\"]*@")

# skopeo has one exit status for everything: what happened is in its words. The first match counts.
_MEANINGS: tuple[tuple[type[errors.CriError], tuple[str, ...]], ...] = (
    (errors.ResourceExhausted, ("no space left on device", "disk quota exceeded", "exceeded maximum allowed size")),
    (errors.InvalidArgument, ("invalid reference format",)),
    (errors.PermissionDenied, ("rejected by policy", "is blocked in", "signature was required", "image rejected")),
    (errors.DataLoss, ("digest did not match", "did not match, expected", "does not match", "unexpected eof")),
    (errors.Unauthenticated, ("unauthorized", "authentication required", "invalid username/password", "401 ")),
    (errors.PermissionDenied, ("denied", "forbidden", "403 ")),
    (errors.NotFound, ("manifest unknown", "name unknown", "not known to registry", "no image found", "404 ")),
    (errors.Unavailable, ("toomanyrequests", "too many requests", "429 ", "pinging container registry", "dial tcp")),
    (errors.Unavailable, ("x509", "tls:", "timeout", "connection re", "no such host", "eof", "status 5")),
)


@dataclass(frozen=True, slots=True)
class SkopeoSettings:
    """Configuration `image.*`: empty paths mean skopeo's own defaults. `seconds` bounds one copy."""

    skopeo: str = "skopeo"
    registries_conf: str = ""
    policy: str = ""
    seconds: float = 3600.0


class Skopeo:
    """The two calls that are needed."""

    def __init__(self, settings: SkopeoSettings) -> None:
        """Nothing is run yet."""
        self._settings = settings
        # A killed server must not leave a download behind that goes on writing; util-linux has the wrapper.
        self._wrapper = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()

    async def manifest(self, source: str, workspace: str, authfile: str) -> bytes:
        """The manifest or index that `source` ("docker://name:tag") names, as the registry has it."""
        argv = ("inspect", "--raw", "--authfile", authfile, source)
        return await self._run(argv, workspace, RESOLVE_SECONDS, source)

    async def copy(self, source: str, target: str, workspace: str, authfile: str = "") -> None:
        """Copy the image of this platform unchanged into the new directory `target` (transport "dir")."""
        auth = ("--src-authfile", authfile) if authfile else ()
        argv = ("copy", "--quiet", *auth, source, f"dir:{target}")
        await self._run(argv, workspace, self._settings.seconds, source)

    async def _run(self, arguments: Sequence[str], workspace: str, seconds: float, source: str) -> bytes:
        options: list[str] = []
        if self._settings.registries_conf:
            options += ["--registries-conf", self._settings.registries_conf]
        if self._settings.policy:
            options += ["--policy", self._settings.policy]
        argv = (*self._wrapper, self._settings.skopeo, *options, "--tmpdir", workspace, *arguments)
        # Without a home of the user's, so that credentials kept there are not used unasked.
        env = {"HOME": workspace, "XDG_RUNTIME_DIR": workspace}
        done = await run(argv, env=env, timeout=seconds, limit=DOCUMENT_LIMIT)
        if done.returncode != 0:
            raise explain(source, done.stderr.decode("utf-8", "replace"), done.returncode)
        if done.truncated:
            raise errors.ResourceExhausted(f"{source}: the manifest has more than {DOCUMENT_LIMIT} bytes")
        return done.stdout


def explain(source: str, output: str, returncode: int) -> errors.CriError:
    """The error that skopeo's output means, in skopeo's words."""
    words = _FATAL.findall(output)
    text = words[-1].replace('\\"', '"').replace("\\\\", "\\") if words else output.strip()[-1000:]
    text = _USERINFO.sub(r"\1", _QUERY.sub(r"\1?…", text))
    lowered = text.lower()
    for meaning, signs in _MEANINGS:
        if any(sign in lowered for sign in signs):
            return meaning(f"{source}: {text}")
    return errors.Internal(f"{source}: skopeo ended with status {returncode}: {text or 'no output'}")
