"""policy.json: which of its requirements count for a name, and what they mean for a tag (containers-policy.json(5)).

Pure. Whether an image meets them is skopeo's to judge. It is asked about digests, since what is fetched hangs from one;
so what a policy demands of a tag is turned into what it demands of that digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from criserver.errors import FailedPrecondition
from criserver.model.reference import Reference

_ANYTHING = {"type": "insecureAcceptAnything"}
_SIGNED = ("signedBy", "sigstoreSigned")
_BY_NAME = ("matchExact", "matchRepoDigestOrExact")
Requirements = Sequence[Mapping[str, Any]]


def parsed(content: bytes, path: str, reference: Reference) -> tuple[str, Requirements]:
    """The part of a policy that counts for a name, and its requirements; FailedPrecondition when it is no policy.

    As strict as containers/image: what is misspelt must not be taken for nothing.
    """
    try:
        document = json.loads(content, object_pairs_hook=_object)
        transports = document.get("transports", {})
        if unknown := document.keys() - {"default", "transports"}:
            raise ValueError(f"unknown key {min(unknown)!r}")
        rules = {(name, scope): rule for name, scopes in transports.items() for scope, rule in scopes.items()}
        for rule in (document["default"], *rules.values()):
            if not isinstance(rule, list) or not rule or not all(isinstance(each, dict) for each in rule):
                raise ValueError("requirements must be a list of at least one object")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise FailedPrecondition(f"image.policy: {path} is no signature policy: {error!r}") from error
    for scope in scopes(reference):
        if ("docker", scope) in rules:
            return f"scope {scope!r} of docker", rules["docker", scope]
    return "default", document["default"]


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    if len(document := dict(pairs)) != len(pairs):
        raise ValueError(f"one of the keys {sorted(document)} is there twice")
    return document


def scopes(reference: Reference) -> Iterator[str]:
    """Names of scopes that hold the reference, the narrowest first, and "" for the whole transport.

    A reference by digest is not in the scope of a tag, as for containers/image.
    """
    yield str(reference)
    name = reference.name
    while True:
        yield name
        name, slash, _ = name.rpartition("/")
        if not slash:
            break
    domain = reference.domain.partition(":")[0]
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f"*.{domain}"
    yield ""


def accepts_anything(requirements: Requirements) -> bool:
    """Whether nothing is required."""
    return all(each == _ANYTHING for each in requirements)


def bound(requirements: Requirements, reference: Reference) -> list[Mapping[str, Any]]:
    """What is required of the image that a tag names, whatever it is called when the question is asked.

    A signature names what was signed. Where that must be the tag, the tag is written down; an image signed under
    another tag of its repository, an older one perhaps, would do otherwise. References by digest stay as they are.
    """
    return [_bound(each, reference) if each.get("type") in _SIGNED else each for each in requirements]


def _bound(requirement: Mapping[str, Any], reference: Reference) -> Mapping[str, Any]:
    identity, signed = requirement.get("signedIdentity", {"type": "matchRepoDigestOrExact"}), str(reference)
    if reference.digest or not isinstance(identity, dict):
        return requirement
    if identity.get("type") == "remapIdentity":
        signed = _remapped(identity, reference)
    elif identity.get("type") not in _BY_NAME:
        return requirement
    return {**requirement, "signedIdentity": {"type": "exactReference", "dockerReference": signed}}


def _remapped(identity: Mapping[str, Any], reference: Reference) -> str:
    """The name under which an image from `prefix` was signed; prefixes end where a part of the name does."""
    prefix, signed = str(identity.get("prefix")), str(reference)
    rest = signed.removeprefix(prefix)
    if rest == signed or rest[:1] not in ("", ":", "/", "@"):
        return signed
    return f"{identity.get('signedPrefix')}{rest}"


def for_one(name: str, requirements: Requirements) -> bytes:
    """A policy that accepts nothing but `name`, and that under `requirements`."""
    document = {"default": [{"type": "reject"}], "transports": {"docker": {name: list(requirements)}}}
    return json.dumps(document).encode()
