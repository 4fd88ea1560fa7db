"""Image references and digests: the text that names an image, parsed, normalised and validated.

Pure: no registry, no store. The grammar is that of distribution's reference package (distribution/reference): a domain,
a path, then ":tag", "@digest" or both; short names get the defaults of Docker ("docker.io", "library/", "latest").
Digests are accepted in one spelling only, since they become file names and URLs (CVE-2024-3727).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from criserver.errors import InvalidArgument

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
NAME_LIMIT = 255
"""Longest repository name, domain included (distribution/reference)."""

HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Digest algorithms of OCI descriptor.md that are accepted, with the length of their hexadecimal part."""

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX = re.compile(r"[0-9a-f]+")
_ID_LIKE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference: `domain` "docker.io", `path` "library/busybox", and a tag, a digest, or both."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository: domain and path."""
        return f"{self.domain}/{self.path}"

    @property
    def tagged(self) -> str:
        """ "domain/path:tag", empty when the reference is by digest: then the tag was only a remark."""
        return f"{self.name}:{self.tag}" if self.tag and not self.digest else ""

    def with_digest(self, digest: str) -> str:
        """The repo digest "domain/path@digest"."""
        return f"{self.name}@{digest}"

    def __str__(self) -> str:
        """What a registry is asked for: by digest where there is one, else by tag."""
        return self.with_digest(self.digest) if self.digest else self.tagged


def is_digest(text: str) -> bool:
    """Whether `text` is "algorithm:hex" of a known algorithm, exact length, lower case."""
    algorithm, _, hexadecimal = text.partition(":")
    return HEX_LENGTHS.get(algorithm) == len(hexadecimal) and _HEX.fullmatch(hexadecimal) is not None


def parse_digest(text: str, what: str = "digest") -> str:
    """`text` when it is a digest; InvalidArgument naming `what` otherwise."""
    if not is_digest(text):
        known = ", ".join(HEX_LENGTHS)
        raise InvalidArgument(
            f"{what} {text[:160]!r} is no digest: one of {known}, a colon, lower-case hexadecimal digits"
        )
    return text


def parse_reference(text: str) -> Reference:
    """The normalised form of a user's reference; InvalidArgument says what is wrong with it.

    A name of 64 hexadecimal digits is refused: it would read like an image id.
    """
    if not text:
        raise InvalidArgument("image reference is empty: give a name such as registry.k8s.io/pause:3.10")
    rest, at, digest = text.partition("@")
    if at:
        parse_digest(digest, f"digest of image reference {text[:300]!r}:")
    name, tag = _split_tag(rest)
    domain, path = _split_domain(name)
    if _ID_LIKE.fullmatch(name):
        raise InvalidArgument(f"image reference {text!r} looks like an image id, not like a repository name")
    if not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(path):
        raise InvalidArgument(f"image reference {text[:300]!r} is not valid: repository names are lower-case host/path")
    if len(domain) + 1 + len(path) > NAME_LIMIT:
        raise InvalidArgument(f"image reference {text[:80]!r}… is too long: a name has at most {NAME_LIMIT} characters")
    if tag is not None and not _TAG.fullmatch(tag):
        raise InvalidArgument(
            f"image reference {text[:300]!r} has no valid tag: letters, digits, '_', '.', '-', at most 128"
        )
    return Reference(domain, path, tag if tag is not None else ("" if at else DEFAULT_TAG), digest)


def split_short(text: str) -> tuple[str, str] | None:
    """A reference without a registry as its path and the rest (":tag", "@digest"); None for one with a registry."""
    name = _split_tag(text.partition("@")[0])[0]
    if not name or _has_domain(name):
        return None
    return name, text[len(name) :]


def _split_tag(text: str) -> tuple[str, str | None]:
    """A colon behind the last slash begins a tag; one before it a port."""
    colon = text.rfind(":")
    return (text[:colon], text[colon + 1 :]) if colon > text.rfind("/") else (text, None)


def _split_domain(name: str) -> tuple[str, str]:
    first, _, rest = name.partition("/")
    domain, path = (first, rest) if _has_domain(name) else (DEFAULT_DOMAIN, name)
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return domain, path


def _has_domain(name: str) -> bool:
    """The first component is a domain when it could not be a path component, or is "localhost"."""
    first, slash, _ = name.partition("/")
    return bool(slash) and (first == "localhost" or any(c in first for c in ".:[") or first != first.lower())
