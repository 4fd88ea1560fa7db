"""Credentials as the private file that skopeo reads (containers-auth.json(5)). Pure: it returns the file's content.

They are keyed by the registry that the reference names, so that mirrors and redirections never see them.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import json
import re
import urllib.parse
from typing import Any

from criserver.errors import FailedPrecondition, InvalidArgument, Unimplemented
from criserver.model.image import Credentials
from criserver.model.reference import DEFAULT_DOMAIN

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123 labels: nothing that could be a path."""
# The file has no place for one (containers-auth.json(5)), and in skopeo's arguments everybody could read it: /proc/PID.
_REGISTRY_TOKEN = (
    "auth.registry_token of the image credentials cannot be used: skopeo takes bearer tokens on its command line only, "
    "where they would be no secret; give it as auth.password with the username that the registry has for tokens, or "
    "a refresh token as auth.identity_token"
)
_DOCKER_HUB = ("index.docker.io", "registry-1.docker.io")


def auth_document(domain: str, credentials: Credentials | None, configured: bytes = b"") -> bytes:
    """The auth file for a pull from `domain`: the `configured` file's content plus the request's credentials.

    InvalidArgument for an auth field that is not base64 of "user:password", Unimplemented when there is nothing but a
    registry token.
    """
    document = _configured(configured)
    if credentials is not None and (entry := _entry(credentials)) and _meant_for(domain, credentials.server_address):
        auths = document.setdefault("auths", {})
        auths[domain] = entry
        # A helper's answer would win over the entry.
        document.get("credHelpers", {}).pop(domain, None)
    return json.dumps(document).encode()


def namespaced_name(namespace: str, name: str) -> str:
    """The file with the credentials of pods in `namespace` for the repository `name` ("host/path").

    InvalidArgument for a namespace that no pod can have.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise InvalidArgument(f"sandbox_config.metadata.namespace {namespace[:100]!r} is no namespace: a-z, 0-9 and -")
    return f"{namespace}-{hashlib.sha256(name.encode()).hexdigest()}.json"


def _configured(content: bytes) -> dict[str, Any]:
    if not content:
        return {}
    try:
        document = json.loads(content)
    except ValueError as error:
        raise FailedPrecondition(f"the configured file of credentials is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise FailedPrecondition("the configured file of credentials holds no JSON object")
    return document


def _entry(credentials: Credentials) -> dict[str, str]:
    username, password = credentials.username, credentials.password
    if credentials.auth and not username:
        username, password = _decoded(credentials.auth)
    if not username and not credentials.identity_token:
        if credentials.registry_token:
            raise Unimplemented(_REGISTRY_TOKEN)
        return {}
    pair = f"{username or '<token>'}:{password}".encode()
    entry = {"auth": base64.b64encode(pair).decode()}
    if credentials.identity_token:
        entry["identitytoken"] = credentials.identity_token
    return entry


def _decoded(auth: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = user = password = ""
    if not colon:
        raise InvalidArgument("auth of the image credentials is not base64 of user:password")
    return user, password.rstrip("\0")


def _meant_for(domain: str, server_address: str) -> bool:
    """Whether credentials for `server_address` (a host or URL, perhaps with wildcards) may go to `domain`."""
    if not server_address:
        return True
    address = server_address if "://" in server_address else f"//{server_address}"
    host = urllib.parse.urlsplit(address).netloc
    host = DEFAULT_DOMAIN if host in _DOCKER_HUB else host
    return fnmatch.fnmatchcase(domain, host)
