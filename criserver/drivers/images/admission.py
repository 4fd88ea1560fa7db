"""policy.json as far as it can be judged without a registry (port `Admission`; containers-policy.json(5)).

At a pull skopeo judges it whole, signatures included. When a container is made the signatures are not at hand; what is
known is under which demand the image was pulled. So a demand is turned into a mark, a digest over the requirements and
the keys that they name: an image that was pulled under the same mark has what is asked for, another may not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

from criserver.drivers.images.policy import Requirements, accepts_anything, bound, parsed
from criserver.errors import FailedPrecondition, SignatureRejected
from criserver.kernel.fds import read_in_root
from criserver.kernel.offload import offload
from criserver.model.reference import Reference
from criserver.ports.admission import Demand

DEFAULT_PATH = "/etc/containers/policy.json"
LIMIT = 4 << 20


class PolicyAdmission:
    """The policy file, read anew at each question."""

    def __init__(self, path: str = "") -> None:
        """`path` is that of the configuration, "" for the one that skopeo takes by itself."""
        self._path, self._configured = path or DEFAULT_PATH, bool(path)

    async def demand(self, reference: Reference) -> Demand:
        """What is demanded of an image of that name; see the port."""
        return await offload(self._demand, reference)

    def _demand(self, reference: Reference) -> Demand:
        try:
            content = read_in_root("/", self._path, LIMIT)
        except FileNotFoundError as error:
            if not self._configured:
                return Demand()  # skopeo refuses every pull then, and says so
            raise FailedPrecondition(f"image.policy: {error}") from error
        except OSError as error:
            raise FailedPrecondition(f"image.policy cannot be read: {error}") from error
        scope, requirements = parsed(content, self._path, reference)
        if any(each.get("type") == "reject" for each in requirements):
            raise SignatureRejected(
                f"SignatureValidationFailed: image {reference} is rejected by {self._path}, {scope}: change the policy"
            )
        if accepts_anything(requirements):
            return Demand()
        return Demand(mark(bound(requirements, reference)), mark(requirements))


def mark(requirements: Requirements) -> str:
    """A digest over requirements and the keys that they name; FailedPrecondition when one of these cannot be read."""
    digest = hashlib.sha256(json.dumps(list(requirements), sort_keys=True).encode())
    for path in sorted(set(_files(requirements))):
        try:
            content = read_in_root("/", path, LIMIT)
        except OSError as error:
            raise FailedPrecondition(f"image.policy names a file that cannot be read: {error}") from error
        digest.update(os.fsencode(path) + b"\0" + hashlib.sha256(content).digest())
    return f"sha256:{digest.hexdigest()}"


def _files(value: Any) -> Iterator[str]:
    """What stands under keys such as keyPath and keyPaths, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.endswith("Path") and isinstance(inner, str):
                yield inner
            elif key.endswith("Paths") and isinstance(inner, list):
                yield from (path for path in inner if isinstance(path, str))
            else:
                yield from _files(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _files(inner)
