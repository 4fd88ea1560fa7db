"""Whether policy.json asks for anything (containers-policy.json(5)). Pure.

Only the plainest answer is given here, since it is the usual one: a policy that accepts everything from everywhere.
Whatever else it says is skopeo's to judge.
"""

from __future__ import annotations

import json
from typing import Any

_ANYTHING = {"type": "insecureAcceptAnything"}


def accepts_anything(content: bytes) -> bool:
    """Whether no image whatever could be refused by the policy in `content`."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict) or set(document) - {"default", "transports"}:
        return False
    transports = document.get("transports", {})
    if not isinstance(transports, dict) or not all(isinstance(scopes, dict) for scopes in transports.values()):
        return False
    rules = [document.get("default"), *(rule for scopes in transports.values() for rule in scopes.values())]
    return all(map(_accepting, rules))


def _accepting(requirements: Any) -> bool:
    return isinstance(requirements, list) and bool(requirements) and all(each == _ANYTHING for each in requirements)
