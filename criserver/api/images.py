"""Handlers of the image RPCs: ImageService of the CRI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from criserver.api.convert import image as convert
from criserver.api.convert.pieces import pieces, whole
from criserver.api.pb import api_pb2 as pb
from criserver.errors import CriError, InvalidArgument, SignatureRejected, Unavailable
from criserver.lifecycle.images.images import FilesystemUsage, ImageService

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

class ImageHandlers:
    """PullImage, ListImages, StreamImages, ImageStatus, RemoveImage, ImageFsInfo."""

    def __init__(self, images: ImageService, written: Callable[[], Awaitable[FilesystemUsage]]) -> None:
        """`written` tells what the writable layers of containers take."""
        self._images, self._written = images, written

    async def PullImage(self, request: pb.PullImageRequest, _: Context) -> pb.PullImageResponse:
        """Fetch an image; answers its id."""
        credentials, namespace = convert.credentials(request.auth), request.sandbox_config.metadata.namespace
        try:
            image = await self._images.pull(_named(request.image), credentials, namespace)
        except (Unavailable, SignatureRejected) as error:
            raise _for_the_kubelet(error) from error
        return pb.PullImageResponse(image_ref=image.id)

    async def ListImages(self, request: pb.ListImagesRequest, _: Context) -> pb.ListImagesResponse:
        """Every image, or the one that the filter names."""
        rows = self._images.list(request.filter.image.image)
        answer = pb.ListImagesResponse(images=[convert.image(row) for row in rows])
        return whole(answer, "StreamImages", "images that nothing uses")

    async def StreamImages(self, request: pb.StreamImagesRequest, _: Context) -> AsyncIterator[pb.StreamImagesResponse]:
        """ListImages in pieces."""
        for piece in pieces(map(convert.image, self._images.list(request.filter.image.image))):
            yield pb.StreamImagesResponse(images=piece)

    async def ImageStatus(self, request: pb.ImageStatusRequest, _: Context) -> pb.ImageStatusResponse:
        """One image, unset when it is not here; verbose adds its configuration document."""
        row = self._images.resolve(_named(request.image))
        if row is None:
            return pb.ImageStatusResponse()
        info = {"info": convert.image_info(row, await self._images.config(row.id))} if request.verbose else {}
        return pb.ImageStatusResponse(image=convert.image(row), info=info)

    async def RemoveImage(self, request: pb.RemoveImageRequest, _: Context) -> pb.RemoveImageResponse:
        """Remove an image with all of its references; unknown images are fine."""
        await self._images.remove(_named(request.image))
        return pb.RemoveImageResponse()

    async def ImageFsInfo(self, _: pb.ImageFsInfoRequest, __: Context) -> pb.ImageFsInfoResponse:
        """Disk that images take, and that containers' writable layers take.

        Both name the same file system unless they lie on two: a kubelet compares the names to find that out.
        """
        return pb.ImageFsInfoResponse(
            image_filesystems=[convert.filesystem(self._images.usage())],
            container_filesystems=[convert.filesystem(await self._written())],
        )


def _named(image: pb.ImageSpec) -> str:
    if not image.image:
        raise InvalidArgument("image.image is empty: name an image")
    return image.image


def _for_the_kubelet(error: Unavailable | SignatureRejected) -> CriError:
    """An error that a pod's status can name: the kubelet reads words, and only of errors with the code UNKNOWN.

    Its words are those of cri-api, pkg/errors: ErrRegistryUnavailable and ErrSignatureValidationFailed.
    """
    name = "RegistryUnavailable" if isinstance(error, Unavailable) else "SignatureValidationFailed"
    return CriError(f"{name}: {str(error).removeprefix(f'{name}: ')}")
