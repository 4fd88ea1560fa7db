"""Image volumes of a container: which images they are, held and mounted before its config.json is built."""

from __future__ import annotations

from collections.abc import Mapping

from criserver.errors import NotFound
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.running.container_steps import image_holder
from criserver.model.container import ContainerConfig, Mount
from criserver.model.image import Image
from criserver.model.security import Idmap


def volume_images(powers: Powers, config: ContainerConfig) -> dict[str, Image]:
    """Container path → image of each image volume; NotFound, in the kubelet's word for it, for one not here."""
    found = {}
    for mount in config.mounts:
        if mount.image is not None:
            image = powers.images.resolve(mount.image.image)
            if image is None:
                raise NotFound(
                    f"ImageVolumeMountFailed: config.mounts {mount.container_path}: image {mount.image.image!r} is not "
                    "on this node; pull it first"
                )
            found[mount.container_path] = image
    return found


async def admit_volumes(powers: Powers, config: ContainerConfig) -> None:
    """PermissionDenied for a volume whose image the signature policy does not let be used under its name."""
    images = volume_images(powers, config)
    for mount in config.mounts:
        if mount.image is not None:
            asked = mount.image.user_specified_image or mount.image.image
            await powers.images.admit(images[mount.container_path], asked)


async def mount_volumes(
    powers: Powers, container_id: str, images: Mapping[str, Image], idmap: Idmap | None
) -> dict[str, str]:
    """Hold and mount each; container path → where on the host."""
    sources = {}
    for number, (path, image) in enumerate(images.items()):
        await powers.images.lease(image.id, image_holder(container_id))
        sources[path] = await powers.image_volumes.mount(container_id, number, image.layers, idmap)
    return sources


async def volume_source(powers: Powers, mount: Mount, sources: Mapping[str, str]) -> str:
    """What of a mounted volume one mount shows; InvalidArgument for a sub path that the image lacks."""
    source = sources[mount.container_path]
    return await powers.image_volumes.sub_path(source, mount.image_sub_path) if mount.image_sub_path else source


def shown_digests(images: Mapping[str, Image]) -> dict[str, str]:
    """Container path → what the status says of its image: its digest at a registry, else its id."""
    return {path: image.digested() for path, image in images.items()}
