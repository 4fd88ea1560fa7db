"""Images against the disk: are the layers there as they were unpacked, and is there nothing that no row claims?

A damaged layer cannot be mended in place: containers may have it mounted, and what it should hold is only known to
where it came from. So an image on it is removed and, where a registry is known for it, pulled again by digest, without
credentials but those of the configuration. An image that a container uses is left alone and said to be.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from typing import Any

from criserver.errors import CriError, FailedPrecondition
from criserver.lifecycle.images.doubts import Doubts
from criserver.lifecycle.images.images import ImageService
from criserver.model.findings import Finding, Verdict
from criserver.model.image import Image, Layer
from criserver.ports.layers import Layers
from criserver.ports.workspaces import Workspaces
from criserver.state.images import ImageRepository

log = logging.getLogger(__name__)

IMAGE, LAYER, WORKSPACE = "image", "layer tree", "pull directory"


class ImageCheck:
    """The image half of a check."""

    def __init__(
        self,
        service: ImageService,
        repository: ImageRepository,
        layers: Layers,
        workspaces: Workspaces,
        doubts: Doubts | None = None,
    ) -> None:
        """`doubts` are those that `service` heeds."""
        self._doubts = doubts or Doubts()
        self._service, self._repository = service, repository
        self._layers, self._workspaces = layers, workspaces

    async def check(self, pause: float) -> tuple[Finding, ...]:
        """What is wrong; `pause` is the time between the two looks for left-overs, in seconds."""
        first = await self._left_over()
        if first:
            await asyncio.sleep(pause)
            first &= await self._left_over()
        hint = "criserver check --repair gives it back"
        left = [Finding(Verdict.LEFT_OVER, what, "nobody", "", name, hint) for what, name in sorted(first)]
        return (*self._told(await self.damage()), *left)

    async def damage(self) -> Mapping[int, str]:
        """Why a layer is not what it was, by its number. Every file of every layer is looked at, none is read."""
        return await self._examined(tuple(self._repository.layers))

    def after_power_loss(self) -> Coroutine[Any, Any, bool]:
        """Look at every layer, and mend what was damaged; told in the log. Takes as long as there are files.

        From the call on nobody gets a layer that was not looked at; whether all were is what awaiting it tells. What
        held images has ended with the power.
        """
        log.warning("the machine went down under a running server: every image layer is looked at")
        self._doubts.begin(row.number for row in self._repository.layers)
        return self._after_power_loss()

    async def _after_power_loss(self) -> bool:
        try:
            damage = await self._doubtful()
            for finding in self._told(damage):
                log.error("image %s is damaged: %s", finding.owner, finding.where)
            for line in await self.mend(damage, even_leased=True):
                log.warning("%s", line)
        except CriError as error:
            log.error("image layers cannot be checked: %s", error)
            return False
        finally:
            self._doubts.end()
        log.info("image layers are checked", extra={"damaged": len(damage)})
        return True

    async def _doubtful(self) -> Mapping[int, str]:
        """Look at the layers in doubt, one after the other. What is damaged stays in doubt until it is mended."""
        damage: dict[int, str] = {}
        while (number := self._doubts.next()) is not None:
            found = await self._examined([row for row in self._repository.layers if row.number == number])
            damage |= found
            if not found:
                self._doubts.settle(number)
        return damage

    async def _examined(self, rows: Sequence[Layer]) -> Mapping[int, str]:
        damage = await self._layers.examine(rows)
        now = {row.number for row in self._repository.layers}
        return {number: words for number, words in damage.items() if number in now}

    async def repair(self, findings: Collection[Finding]) -> list[str]:
        """Do what can be done about findings of `check`; a line for each thing done, or why it could not be."""
        left = {each.where: each.what for each in findings if each.verdict is Verdict.LEFT_OVER}
        done = [f"removed {what} {name}" for name, what in left.items() if what in (LAYER, WORKSPACE)]
        await self._layers.discard(frozenset(name for name, what in left.items() if what == LAYER))
        await self._workspaces.discard(frozenset(name for name, what in left.items() if what == WORKSPACE))
        if any(each.verdict is Verdict.DAMAGED for each in findings):
            done += await self.mend(await self.damage())
        return done

    async def mend(self, damage: Collection[int], *, even_leased: bool = False) -> list[str]:
        """Pull the images on damaged layers again, or at least take them away; a line for each.

        Those that somebody holds are left alone, unless `even_leased`.

        All of them go before the first is pulled: only then is a layer that they share given up, and unpacked anew.
        """
        images = [image for image in self._repository if not set(image.layers).isdisjoint(damage)]
        holders = {} if even_leased else await self._repository.holders()
        # A layer that is in use stays, and whatever else stands on it would only get it again.
        held = {number: holders[image.id] for image in images if image.id in holders for number in image.layers}
        removed, done = [], []
        for image in sorted(images, key=_name):
            holder = next((held[number] for number in image.layers if number in damage and number in held), "")
            try:
                if holder:
                    raise FailedPrecondition(f"{holder} uses what is damaged; remove that first")
                await self._service.remove(image.id, even_leased=even_leased)
                removed.append(image)
            except FailedPrecondition as error:
                done.append(f"image {_name(image)} is left as it is: {error}")
        return [*done, *[await self._bring_back(image) for image in removed]]

    async def _bring_back(self, image: Image) -> str:
        name, error = _name(image), "no registry is known for it; load it again"
        for reference in image.repo_digests:
            try:
                found = await self._service.pull(reference)
            except CriError as failure:
                error = f"it cannot be pulled: {failure}"
                continue
            # A tag of an image that was moved on meanwhile is the other image's now.
            free = [tag for tag in image.repo_tags if self._repository.by_reference(tag) is None]
            await self._repository.name(found.id, [*free, *image.repo_digests])
            log.warning("image %s was damaged and is pulled again", name)
            return f"image {name} is pulled again"
        log.warning("image %s was damaged and is removed: %s", name, error)
        return f"image {name} is removed: {error}"

    def _told(self, damage: Mapping[int, str]) -> Iterator[Finding]:
        """A finding for each image on a damaged layer, and for a layer that no image stands on."""
        told: set[int] = set()
        for image in self._repository:
            if bad := [number for number in dict.fromkeys(image.layers) if number in damage]:
                told |= set(bad)
                where = "; ".join(f"{self._layers.root}/{number}: {damage[number]}" for number in bad)
                hint = "criserver check --repair pulls it again, or removes it"
                yield Finding(Verdict.DAMAGED, IMAGE, _name(image), image.id, where, hint)
        for number in sorted(damage.keys() - told):
            where = f"{self._layers.root}/{number}: {damage[number]}"
            yield Finding(Verdict.DAMAGED, "layer", "nobody", "", where, "it goes with the pull that uses it")

    async def _left_over(self) -> set[tuple[str, str]]:
        """Trees and pull directories that neither a row nor a running pull claims."""
        trees = await self._layers.standing()
        pulls = await self._workspaces.left_over()
        known = {str(row.number) for row in self._repository.layers}
        return {(LAYER, name) for name in trees - known} | {(WORKSPACE, name) for name in pulls}


def _name(image: Image) -> str:
    return next(iter((*image.repo_tags, *image.repo_digests)), image.id)
