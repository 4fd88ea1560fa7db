"""skopeo, exec'd: every conversation with a registry, and every reading of an archive, goes through it.

It brings containers/image's own ways: registries.conf with mirrors and blocks, policy.json, certificates, retries.
Credentials reach it by file only.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from criserver import errors
from criserver.drivers.images.manifests import DOCUMENT_LIMIT
from criserver.drivers.images.policy import accepts_anything
from criserver.drivers.images.proxy import ImageProxy
from criserver.drivers.images.skopeo_words import explain
from criserver.kernel.fds import read_in_root
from criserver.kernel.process import run

POLICY = "/etc/containers/policy.json"
"""Where skopeo looks for the signature policy."""
RESOLVE_SECONDS = 120.0
"""Time for one manifest, mirrors that do not answer included."""

@dataclass(frozen=True, slots=True)
class SkopeoSettings:
    """Configuration `image.*`: empty paths mean skopeo's own defaults. `seconds` bounds one copy.

    `procs` are the cgroup.procs of the cgroups that it runs in.
    """

    skopeo: str = "skopeo"
    registries_conf: str = ""
    policy: str = ""
    seconds: float = 3600.0
    procs: tuple[str, ...] = ()


class Skopeo:
    """What is asked of it."""

    def __init__(self, settings: SkopeoSettings) -> None:
        """Nothing is run yet."""
        self._settings = settings
        # A killed server must not leave a download behind that goes on writing; util-linux has the wrapper.
        self._wrapper = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()

    async def manifest(self, source: str, workspace: str, authfile: str) -> bytes:
        """The manifest or index that `source` ("docker://name:tag") names, as the registry has it."""
        argv = ("inspect", "--raw", "--authfile", authfile, source)
        return await self._run(argv, workspace, RESOLVE_SECONDS, source)

    def proxy(self, source: str, workspace: str, authfile: str) -> ImageProxy:
        """A process that fetches blobs of `source` one by one; policy.json is not asked."""
        argv = self._command(workspace, ("experimental-image-proxy", "--authfile", authfile))
        return ImageProxy(argv, _environment(workspace), source, self._settings.procs)

    def accepts_anything(self) -> bool:
        """Whether policy.json refuses nothing, so that nobody needs to ask. Blocks."""
        try:
            return accepts_anything(read_in_root("/", self._settings.policy or POLICY, DOCUMENT_LIMIT))
        except OSError:
            return False

    async def verify(self, source: str, layout: str, blobs: str, workspace: str, authfile: str) -> None:
        """Ask policy.json about `source`; PermissionDenied when it is refused.

        skopeo asks when it copies. So it copies, into the new OCI `layout`, but finds the blobs in the directory
        `blobs` already: it looks whether a file of the name is there, and not into it.
        """
        argv = ("copy", "--quiet", "--remove-signatures", "--src-authfile", authfile, "--dest-shared-blob-dir", blobs)
        await self._run((*argv, source, f"oci:{layout}"), workspace, RESOLVE_SECONDS, source)

    async def copy(self, source: str, target: str, workspace: str) -> None:
        """Copy an image of an archive unchanged into the new directory `target` (transport "dir")."""
        argv = ("copy", "--quiet", source, f"dir:{target}")
        await self._run(argv, workspace, self._settings.seconds, source)

    async def _run(self, arguments: Sequence[str], workspace: str, seconds: float, source: str) -> bytes:
        argv = self._command(workspace, arguments)
        done = await run(
            argv, env=_environment(workspace), timeout=seconds, limit=DOCUMENT_LIMIT, procs=self._settings.procs
        )
        if done.returncode != 0:
            raise explain(source, done.stderr.decode("utf-8", "replace"), done.returncode)
        if done.truncated:
            raise errors.ResourceExhausted(f"{source}: the manifest has more than {DOCUMENT_LIMIT} bytes")
        return done.stdout

    def _command(self, workspace: str, arguments: Sequence[str]) -> tuple[str, ...]:
        options: list[str] = []
        if self._settings.registries_conf:
            options += ["--registries-conf", self._settings.registries_conf]
        if self._settings.policy:
            options += ["--policy", self._settings.policy]
        return (*self._wrapper, self._settings.skopeo, *options, "--tmpdir", workspace, *arguments)


def _environment(workspace: str) -> dict[str, str]:
    """Without a home of the user's, so that credentials kept there are not used unasked."""
    return {"HOME": workspace, "XDG_RUNTIME_DIR": workspace}
