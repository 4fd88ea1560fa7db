"""Image volumes as read-only mounts (port `ImageVolumes`) at <state>/volumes/<container id>/<number>.

One layer is bound, several are an overlay without anything writable; no file of an image is copied.
"""

from __future__ import annotations

import contextlib
import os

from criserver.drivers.roots.overlay import MAX_LAYERS, mount_layers, mount_options
from criserver.errors import FailedPrecondition, Internal, InvalidArgument
from criserver.kernel import files, mount
from criserver.kernel.fds import open_in_root
from criserver.kernel.offload import offload
from criserver.model.image import layer_name
from criserver.model.security import Idmap
from criserver.observe.timings import asked

_READ_ONLY = mount.MS_RDONLY | mount.MS_NOSUID | mount.MS_NODEV
_READ_ONLY_ATTRIBUTES = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV


class ImageVolumesDriver:
    """Image volumes of this server's containers."""

    def __init__(self, store: str, state: str) -> None:
        """`store` is the directory that has the layers, `state` the server's state directory."""
        self._layers = os.path.join(os.path.realpath(store), "layers")
        self._volumes = os.path.join(os.path.realpath(state), "volumes")

    async def mount(
        self, container_id: str, number: int, layers: tuple[int, ...], idmap: Idmap | None = None
    ) -> str:
        """Mount layers (lowest first) read-only; FailedPrecondition when one is missing or there are too many."""
        return await offload(self._mount, container_id, number, layers, idmap)

    async def sub_path(self, volume: str, path: str) -> str:
        """The host path of `path` inside a mounted volume, links resolved within it."""
        return await offload(_inside, volume, path)

    async def remove(self, container_id: str) -> None:
        """Unmount every volume of the container. Idempotent."""
        await offload(self._remove, container_id)

    async def list(self) -> frozenset[str]:
        """Ids of containers that have volumes."""
        return frozenset(await offload(_names, self._volumes))

    def _mount(self, container_id: str, number: int, layers: tuple[int, ...], idmap: Idmap | None) -> str:
        if len(layers) > MAX_LAYERS:
            raise FailedPrecondition(f"image volume has {len(layers)} layers; overlayfs takes {MAX_LAYERS}: squash it")
        own = f"{self._volumes}/{container_id}"
        target = f"{own}/{number}"
        files.make_private(own)
        os.mkdir(target, 0o755)
        try:
            if len(layers) == 1:
                self._bind(f"{self._layers}/{layer_name(layers[0])}", target, idmap)
            elif layers:
                lower = [layer_name(layer) for layer in reversed(layers)]
                options = mount_options(lower, "", volatile=False)
                asked("mount", f"cd {self._layers} && mount -t overlay -o ro,nosuid,nodev,{options} overlay {target}")
                # Relative names keep the options short, whatever the server's root directory is.
                mount_layers(self._layers, lower, target, options, _READ_ONLY, idmap=idmap)
        except OSError as error:
            raise FailedPrecondition(f"cannot mount an image volume of container {container_id}: {error}") from error
        return target

    def _bind(self, layer: str, target: str, idmap: Idmap | None) -> None:
        ids = f",X-mount.idmap={idmap.namespace}" if idmap else ""
        asked("mount", f"mount --bind -o ro,nosuid,nodev{ids} {layer} {target}")
        if idmap:
            mount.bind_mapped(layer, target, idmap.namespace, _READ_ONLY_ATTRIBUTES)
        else:
            mount.bind(layer, target)
            mount.mount("", target, "", mount.MS_REMOUNT | mount.MS_BIND | _READ_ONLY)

    def _remove(self, container_id: str) -> None:
        own = f"{self._volumes}/{container_id}"
        for name in _names(own):
            try:
                mount.unmount(f"{own}/{name}")
                os.rmdir(f"{own}/{name}")
            except OSError as error:
                raise Internal(f"cannot unmount image volume {name} of container {container_id}: {error}") from error
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(own)


def _inside(volume: str, path: str) -> str:
    try:
        fd = open_in_root(volume, path, os.O_PATH)
    except OSError as error:
        raise InvalidArgument(
            f"ImageVolumeMountFailed: image_sub_path {path!r}: {error.strerror}; give a path that the image has"
        ) from error
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
