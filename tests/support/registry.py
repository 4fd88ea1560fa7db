"""A real registry for tests: Debian's docker-registry on loopback, with a private directory and a free port.

It must not know the server under test; it speaks the distribution protocol (PUT of blobs and manifests) to fill itself.
"""

from __future__ import annotations

import base64
import ctypes
import http.client
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Self

from tests.support.images import Document, digest

MIRRORED = ("registry.k8s.io", "k8s.gcr.io", "gcr.io/k8s-staging-cri-tools", "docker.io", "public.ecr.aws")


_DONE = (200, 201, 202)


class Registry:
    """One running docker-registry; `address` is "HOST:PORT"."""

    def __init__(
        self, directory: Path, *, users: Mapping[str, str] | None = None, host: str = "127.0.0.1"
    ) -> None:
        """Start it in `directory`; with `users` (name → password) it wants basic authentication."""
        self.directory = directory
        self._host = host
        self._users = dict(users or {})
        directory.mkdir(parents=True, exist_ok=True)
        port = _free_port(host)
        self.address = f"{host}:{port}"
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(
            [_binary(), "serve", str(self._configuration(port))],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._await(port)

    def close(self) -> None:
        """Stop the registry; its directory stays."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def push(self, name: str, document: Document, *tags: str) -> str:
        """Store `document` in repository `name` under `tags`; returns the document's digest."""
        for child in document.children:
            self.push(name, child)
        for blob_digest, blob in document.blobs.items():
            self._push_blob(name, blob_digest, blob)
        for tag in tags or (document.digest,):
            self._call("PUT", f"/v2/{name}/manifests/{tag}", document.content, document.media_type)
        return document.digest

    def blob_path(self, blob_digest: str) -> Path:
        """The file in which the registry keeps a blob: for tests that damage it."""
        algorithm, _, hexadecimal = blob_digest.partition(":")
        return self.directory / "data/docker/registry/v2/blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"

    def requests(self, part: str) -> int:
        """How many lines of the registry's log (one per response) have `part` in them."""
        self._log.flush()
        text = (self.directory / "log").read_text(errors="replace")
        return sum(part in line and "response completed" in line for line in text.splitlines())

    def registries_conf(self, path: Path, prefixes: Iterable[str] = MIRRORED) -> Path:
        """Write a registries.conf that maps `prefixes` to this registry, and lets it speak plain http."""
        host = self.address
        locations = {host: host} | {prefix: host + _repository(prefix) for prefix in prefixes}
        tables = ['unqualified-search-registries = ["docker.io"]\n']
        tables += [
            f'[[registry]]\nprefix = "{prefix}"\nlocation = "{location}"\ninsecure = true\n'
            for prefix, location in locations.items()
        ]
        path.write_text("\n".join(tables))
        return path

    def _push_blob(self, name: str, blob_digest: str, blob: bytes) -> None:
        if self._call("HEAD", f"/v2/{name}/blobs/{blob_digest}", accept=(200, 404)).status == 200:
            return
        answer = self._call("POST", f"/v2/{name}/blobs/uploads/", b"")
        location = urllib.parse.urlsplit(answer.headers["Location"])
        self._call("PUT", f"{location.path}?{location.query}&digest={blob_digest}", blob, "application/octet-stream")

    def _call(
        self, method: str, path: str, body: bytes | None = None, kind: str = "", accept: Container[int] = _DONE
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        headers = {"Content-Type": kind} if kind else {}
        if self._users:
            user, password = next(iter(self._users.items()))
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in accept:
            raise RuntimeError(f"registry: {method} {path}: {answer.status} {text!r}")
        return answer

    def _configuration(self, port: int) -> Path:
        auth = ""
        if self._users:
            htpasswd = self.directory / "htpasswd"
            htpasswd.write_text("".join(f"{user}:{_bcrypt(password)}\n" for user, password in self._users.items()))
            auth = f"auth:\n  htpasswd:\n    realm: test\n    path: {htpasswd}\n"
        path = self.directory / "config.yml"
        path.write_text(
            "version: 0.1\nlog:\n  level: info\n"
            f"storage:\n  filesystem:\n    rootdirectory: {self.directory / 'data'}\n  delete:\n    enabled: true\n"
            f"http:\n  addr: {self._host}:{port}\n  net: tcp\n{auth}"
        )
        return path

    def _await(self, port: int) -> None:
        for _ in range(500):
            if self._process.poll() is not None:
                raise RuntimeError(f"registry ended: {(self.directory / 'log').read_text()}")
            try:
                socket.create_connection((self._host, port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("registry does not listen after 10 s")


def missing() -> str:
    """What this machine lacks for a registry, "" when nothing."""
    return "" if shutil.which("docker-registry") else "docker-registry is not installed (Debian package of that name)"


def _binary() -> str:
    path = shutil.which("docker-registry")
    if not path:
        raise RuntimeError(missing())
    return path


def _repository(prefix: str) -> str:
    """Repositories of prefixed registries keep their path beneath the host: gcr.io/a/b → /a/b."""
    _, slash, path = prefix.partition("/")
    return slash + path


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _bcrypt(password: str) -> str:
    """The only kind of hash that docker-registry accepts, from the machine's libcrypt (crypt(5))."""
    libcrypt = ctypes.CDLL("libcrypt.so.1")
    libcrypt.crypt.restype = ctypes.c_char_p
    salt = base64.b64encode(os.urandom(16))[:22].replace(b"+", b".")
    hashed: bytes = libcrypt.crypt(password.encode(), b"$2y$05$" + salt)
    return hashed.decode()


__all__ = ["MIRRORED", "Registry", "digest", "missing"]
