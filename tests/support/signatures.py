"""Signatures of images as two kinds of signers make them, and the policies that ask for them.

Simple signing: a GPG key made here, signatures in a lookaside directory (containers-registries.d(5)). Sigstore: an
ECDSA key made here, signatures beside the image in its registry, where cosign puts them. It must not know the server.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.images import OCI_CONFIG, OCI_MANIFEST, Document, descriptor, digest
from tests.support.registry import Registry

_COSIGN = "application/vnd.dev.cosign.simplesigning.v1+json"


def missing() -> str:
    """What this machine lacks for signing, "" when nothing."""
    return next((f"{name} is not installed" for name in ("gpg", "skopeo", "openssl") if not shutil.which(name)), "")


@dataclass(frozen=True)
class Signer:
    """A key, and the directory of all that it signs with; made by `signer`."""

    directory: Path
    fingerprint: str

    @property
    def requirement(self) -> dict[str, Any]:
        """What a policy says that wants its GPG signature."""
        return {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(self.directory / "key.gpg")}

    @property
    def sigstore_requirement(self) -> dict[str, Any]:
        """What a policy says that wants its sigstore signature, under any tag, which is all that cosign says."""
        key = str(self.directory / "key.pub")
        return {"type": "sigstoreSigned", "keyPath": key, "signedIdentity": {"type": "matchRepository"}}

    @property
    def registries_d(self) -> Path:
        """A registries.d that leads to both kinds of signatures."""
        directory = self.directory / "registries.d"
        directory.mkdir(exist_ok=True)
        where = f"lookaside: file://{self.directory}/lookaside"
        (directory / "default.yaml").write_text(f"default-docker:\n  {where}\n  use-sigstore-attachments: true\n")
        return directory

    def sign(self, document: Document, name: str) -> None:
        """Put a signature that says `document` is `name` (host/path:tag) where skopeo looks for it."""
        path = name.partition("/")[2].rpartition(":")[0]
        where = self.directory / "lookaside" / f"{path}@{document.digest.replace(':', '=')}"
        where.mkdir(parents=True, exist_ok=True)
        manifest = self.directory / "manifest.json"
        manifest.write_bytes(document.content)
        number = len(list(where.iterdir())) + 1
        output = ("--output", str(where / f"signature-{number}"))
        self._run("skopeo", "standalone-sign", str(manifest), name, self.fingerprint, *output)

    def attach(self, document: Document, name: str, registry: Registry, repository: str) -> None:
        """Push a sigstore signature that says `document` is `name` to where the image is."""
        critical = {
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": document.digest},
            "type": "cosign container image signature",
        }
        payload = self.directory / "payload"
        payload.write_text(json.dumps({"critical": critical, "optional": None}))
        signature = self._run("openssl", "dgst", "-sha256", "-sign", str(self.directory / "key.pem"), str(payload))
        note = {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}
        layer, config = payload.read_bytes(), b"{}"
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, OCI_CONFIG),
            "layers": [{**descriptor(layer, _COSIGN), "annotations": note}],
        }
        content = json.dumps(manifest).encode()
        blobs = {digest(blob): blob for blob in (config, layer)}
        tag = document.digest.replace(":", "-") + ".sig"
        registry.push(repository, Document(content, OCI_MANIFEST, blobs), tag)

    def _run(self, *argv: str) -> bytes:
        environment = {**os.environ, "GNUPGHOME": str(self.directory)}
        return subprocess.run(argv, env=environment, check=True, capture_output=True).stdout

    def close(self) -> None:
        """End the agent that gpg has left running."""
        self._run("gpgconf", "--kill", "all")


def signer(directory: Path) -> Signer:
    """Keys of somebody new, in a new directory; its path must be short, since gpg's agent has its sockets there."""
    directory.mkdir(mode=0o700)
    somebody = Signer(directory, "")
    batch = ("gpg", "--batch", "--passphrase", "")
    somebody._run(*batch, "--quick-generate-key", "signer@example.test", "default", "sign", "never")
    listed = somebody._run("gpg", "--batch", "--list-keys", "--with-colons").decode()
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
    somebody._run("gpg", "--batch", "--output", str(directory / "key.gpg"), "--export", fingerprint)
    key = str(directory / "key.pem")
    somebody._run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    somebody._run("openssl", "ec", "-in", key, "-pubout", "-out", str(directory / "key.pub"))
    return Signer(directory, fingerprint)
