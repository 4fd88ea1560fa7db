"""The signature policy where a container is made: may this image run under the name that was asked for?

Signatures are checked at the pull, by who fetches. What is kept of that is a seal: the demand that was in force when
the image came. When a container is made, the demand of now is compared with it: a policy that has become stricter, or
has other keys, refuses images that were pulled before; one that has become laxer lets them run.
"""

from __future__ import annotations

from criserver.errors import PermissionDenied
from criserver.model.image import Image
from criserver.model.reference import Reference, parse_reference
from criserver.ports.admission import Admission
from criserver.state.seals import Seals


class Admissions:
    """Demands and seals."""

    def __init__(self, seals: Seals, policy: Admission) -> None:
        self._seals, self._policy = seals, policy

    async def demand(self, reference: Reference) -> str:
        """What is demanded of a pull now; PermissionDenied when the policy refuses the name."""
        return await self._policy.demand(reference)

    async def satisfied(self, image_id: str, demand: str) -> bool:
        """Whether the image has what is demanded: nothing is, or it was fetched under the same demand."""
        return not demand or await self._seals.has(image_id, demand)

    async def seal(self, image: Image, reference: Reference, demand: str) -> None:
        """Note that the image was fetched under `demand`; nothing when that is "".

        Only when it is demanded of the name by digest as well, which is how images are fetched: a scope for a tag alone
        may not have been looked at.
        """
        for name in image.repo_digests if demand else ():
            by_digest = parse_reference(name)
            if by_digest.name == reference.name and await self._policy.demand(by_digest) == demand:
                await self._seals.add(image.id, demand)
                return

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
                "asks for now: pull it again"
            )
        if refusal is not None:
            raise refusal


def _names(image: Image, asked: str) -> list[Reference]:
    by_id = image.id.partition(":")[2].startswith(asked.removeprefix("sha256:"))
    if not by_id:  # a whole id, the beginning of one, or nothing
        return [parse_reference(asked)]
    known = [parse_reference(name) for name in (*image.repo_tags, *image.repo_digests)]
    return known or [Reference("localhost", "nameless", digest=image.id)]
