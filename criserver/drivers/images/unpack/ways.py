"""Ways through links: whether the path to an entry leaves the layer.

Reads links of the tree that is being filled, in the current directory; changes nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

_STEPS = 4096
"""Parts of names that are walked before a loop of links is left to the kernel, which answers ELOOP."""


def outward(parts: Sequence[bytes]) -> bytes | None:
    """The first link on the way along `parts` that points to "/" or above the root."""
    ahead = list(reversed(parts))
    behind: list[bytes] = []
    for _ in range(_STEPS):
        if not ahead:
            break
        part = ahead.pop()
        name = b"/".join([*behind, part])
        if part == b"..":
            if not behind:
                return name
            behind.pop()
        elif part not in (b"", b"."):
            behind.append(part)
            with contextlib.suppress(OSError):
                target = os.readlink(name)
                behind.pop()
                if target.startswith(b"/") or _climbs(len(behind), target):
                    return name
                ahead += reversed(target.split(b"/"))
    return None


def _climbs(depth: int, target: bytes) -> bool:
    """Whether a link's target, `depth` directories below the root, names a place above it on its way."""
    for part in target.split(b"/"):
        depth += (part == b"..") * -2 + (part not in (b"", b"."))
        if depth < 0:
            return True
    return False
