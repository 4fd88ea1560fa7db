"""skopeo, exec'd: every conversation with a registry, and every reading of an archive, goes through it.

It brings containers/image's own ways: registries.conf with mirrors and blocks, policy.json, certificates, retries.
Credentials reach it by file only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from criserver import errors
from criserver.drivers.images.manifests import DOCUMENT_LIMIT
from criserver.drivers.images.policy import Requirements, accepts_anything, bound, for_one, parsed
from criserver.drivers.images.proxy import ImageProxy
from criserver.drivers.images.skopeo_words import asked_to_wait, explain
from criserver.kernel.fds import read_in_root
from criserver.kernel.offload import offload
from criserver.kernel.process import Overdue, run
from criserver.model.reference import Reference

POLICY = "/etc/containers/policy.json"
"""Where skopeo looks for the signature policy."""
RESOLVE_SECONDS = 120.0
"""Time for one manifest, mirrors that do not answer included."""

@dataclass(frozen=True, slots=True)
class SkopeoSettings:
    """Configuration `image.*`: empty paths mean skopeo's own defaults. `seconds` bounds one copy.

    `decryption_keys` is a directory of private keys for encrypted layers, "" for none.
    `procs` are the cgroup.procs of the cgroups that it runs in.
    """

    skopeo: str = "skopeo"
    registries_conf: str = ""
    registries_d: str = ""
    policy: str = ""
    decryption_keys: str = ""
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
        # Only what is said for debugging tells how long a registry wants to be left alone.
        argv = ("--debug", "inspect", "--raw", "--authfile", authfile, source)
        return await self._run(argv, workspace, RESOLVE_SECONDS, source)

    def proxy(self, source: str, workspace: str, authfile: str) -> ImageProxy:
        """A process that fetches blobs of `source` one by one; policy.json is not asked."""
        argv = self._command(workspace, ("experimental-image-proxy", "--authfile", authfile))
        return ImageProxy(argv, _environment(workspace), source, self._settings.procs)

    def required(self, reference: Reference) -> Requirements | None:
        """What policy.json requires of a name, of its tag itself if it has one; None when nobody needs to ask.

        FailedPrecondition when it is no policy. Blocks.
        """
        path = self._settings.policy or POLICY
        try:
            content = read_in_root("/", path, DOCUMENT_LIMIT)
        except OSError as error:
            raise errors.FailedPrecondition(f"signature policy (image.policy) {path}: {error}") from error
        requirements = parsed(content, path, reference)[1]
        return None if accepts_anything(requirements) else bound(requirements, reference)

    async def verify(
        self, name: str, requirements: Requirements, layout: str, blobs: str, workspace: str, authfile: str
    ) -> None:
        """Whether the image `name` (by digest) meets `requirements`; SignatureRejected when it does not.

        skopeo looks when it copies. So it copies, into the new OCI `layout`, but finds the blobs in the directory
        `blobs` already: it looks whether a file of the name is there, and not into it.
        """
        policy = os.path.join(workspace, "policy.json")
        await offload(_write, policy, for_one(name, requirements))
        argv = ("copy", "--quiet", "--remove-signatures", "--src-authfile", authfile, "--dest-shared-blob-dir", blobs)
        source = f"docker://{name}"
        await self._run((*argv, source, f"oci:{layout}"), workspace, RESOLVE_SECONDS, source, policy)

    async def copy(self, source: str, target: str, workspace: str) -> None:
        """Copy an image of an archive into the new directory `target` (transport "dir"), as it is but decrypted."""
        argv = ("copy", "--quiet", *await offload(self._decryption_keys), source, f"dir:{target}")
        await self._run(argv, workspace, self._settings.seconds, source)

    async def decrypt(self, name: str, target: str, workspace: str, authfile: str) -> None:
        """Copy the image `name` (by digest) so, which the signature policy has accepted; the proxy cannot decrypt.

        FailedPrecondition when no key fits.
        """
        policy = os.path.join(workspace, "policy.json")
        await offload(_write, policy, for_one(name, [{"type": "insecureAcceptAnything"}]))
        options = ("--src-authfile", authfile, "--remove-signatures", *await offload(self._decryption_keys))
        source = f"docker://{name}"
        argv = ("copy", "--quiet", *options, source, f"dir:{target}")
        await self._run(argv, workspace, self._settings.seconds, source, policy)

    @property
    def decrypts(self) -> bool:
        """Whether there may be keys for encrypted layers."""
        return bool(self._settings.decryption_keys)

    def _decryption_keys(self) -> list[str]:
        """Options for each key; what stands behind a colon in them would be a passphrase."""
        directory, options = self._settings.decryption_keys, []
        try:
            names = sorted(os.listdir(directory)) if directory else []
        except FileNotFoundError:
            names = []  # That there is no key is said where one is needed.
        except OSError as error:
            raise errors.FailedPrecondition(f"image.decryption_keys_path: {error}") from error
        for name in names:
            path = os.path.join(directory, name)
            if ":" not in path and os.path.isfile(path):
                options += ["--decryption-key", path]
        return options

    async def _run(
        self, arguments: Sequence[str], workspace: str, seconds: float, source: str, policy: str = ""
    ) -> bytes:
        argv = self._command(workspace, arguments, policy)
        environment, procs = _environment(workspace), self._settings.procs
        try:
            done = await run(argv, env=environment, timeout=seconds, limit=DOCUMENT_LIMIT, procs=procs)
        except Overdue as error:
            raise asked_to_wait(source, error.said.decode("utf-8", "replace"), seconds) or error from None
        if done.returncode != 0:
            raise explain(source, done.stderr.decode("utf-8", "replace"), done.returncode)
        if done.truncated:
            raise errors.ResourceExhausted(f"{source}: the manifest has more than {DOCUMENT_LIMIT} bytes")
        return done.stdout

    def _command(self, workspace: str, arguments: Sequence[str], policy: str = "") -> tuple[str, ...]:
        options: list[str] = []
        if self._settings.registries_conf:
            options += ["--registries-conf", self._settings.registries_conf]
        if self._settings.registries_d:
            options += ["--registries.d", self._settings.registries_d]
        if policy := policy or self._settings.policy:
            options += ["--policy", policy]
        return (*self._wrapper, self._settings.skopeo, *options, "--tmpdir", workspace, *arguments)


def _environment(workspace: str) -> dict[str, str]:
    """Without a home of the user's, so that credentials kept there are not used unasked."""
    return {"HOME": workspace, "XDG_RUNTIME_DIR": workspace}


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
