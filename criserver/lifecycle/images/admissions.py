"""The signature policy where a container is made: may this image run under the name that was asked for?

Signatures are checked at the pull, by who fetches. What is kept of that is a seal: the demand that was in force when
the image came. When a container is made, the demand of now is compared with it: a policy that has become stricter, or
has other keys, refuses images that were pulled before; one that has become laxer lets them run.
"""

from __future__ import annotations

import contextlib

from criserver.errors import PermissionDenied
from criserver.model.image import Image
from criserver.model.reference import Reference, parse_reference
from criserver.ports.admission import Admission, Demand
from criserver.state.seals import Seals


class Admissions:
    """Demands and seals."""

    def __init__(self, seals: Seals, policy: Admission) -> None:
        self._seals, self._policy = seals, policy

    async def demand(self, reference: Reference) -> Demand:
        """What is demanded of a pull now; PermissionDenied when the policy refuses the name."""
        return await self._policy.demand(reference)

    async def satisfied(self, image_id: str, demand: Demand) -> bool:
        """Whether the image has what is demanded: nothing is, or it was fetched under the same demand."""
        return not demand.mark or await self._seals.has(image_id, demand.mark)

    async def seal(self, image: Image, reference: Reference, demand: Demand) -> None:
        """Note that the image was fetched as `reference`, of which `demand` was made; nothing when that is none.

        What was signed for a tag may be used by its digest too, where the policy asks the same of that.
        """
        if not demand.mark:
            return
        await self._seals.add(image.id, demand.mark)
        for by_digest in map(parse_reference, image.repo_digests):
            if by_digest.name == reference.name:
                with contextlib.suppress(PermissionDenied):  # It was the tag alone that was not rejected.
                    other = await self._policy.demand(by_digest)
                    if other.mark and other.origin == demand.origin:
                        await self._seals.add(image.id, other.mark)

    async def check(self, image: Image, asked: str) -> None:
        """PermissionDenied unless the image may run as `asked`, a reference; for an id or "", as any of its names.

        An image without any name is measured by the policy's default.
        """
        refusal: PermissionDenied | None = None
        for reference in _names(image, asked):
            try:
                demand = await self._policy.demand(reference)
            except PermissionDenied as error:
                refusal = refusal or error
                continue
            if await self.satisfied(image.id, demand):
                return
            refusal = refusal or PermissionDenied(
                f"SignatureValidationFailed: image {reference} was not pulled under the signatures that the policy "
                f"asks for now: pull it again under this name (crictl pull {reference})"
            )
        if refusal is not None:
            raise refusal


def _names(image: Image, asked: str) -> list[Reference]:
    by_id = image.id.partition(":")[2].startswith(asked.removeprefix("sha256:"))
    if not by_id:  # a whole id, the beginning of one, or nothing
        return [parse_reference(asked)]
    known = [parse_reference(name) for name in (*image.repo_tags, *image.repo_digests)]
    return known or [Reference("localhost", "nameless", digest=image.id)]
