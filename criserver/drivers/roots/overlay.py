"""Container roots as overlay mounts (port `Rootfs`; Documentation/filesystems/overlayfs.rst).

Layers are at <store>/layers/<number>, the writable layer at <root>/containers/<id>/{upper,work}, the mount at
<state>/containers/<id>/rootfs. Image layers are shared and never written to. Both <id> directories have other owners'
files in them as well, so each goes with its last file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import Sequence

from criserver.errors import FailedPrecondition, Internal
from criserver.kernel import files, mount, namespaces, proc, trees
from criserver.kernel.offload import offload
from criserver.model.image import layer_name
from criserver.model.security import Idmap
from criserver.observe.timings import asked

# mount(2) takes one page of options, the terminating zero included; overlayfs takes this many lower layers.
MAX_OPTIONS = 4095
MAX_LAYERS = 500

# An unmount may flush a whole file system; more of them at a time only queue up in the kernel, and with them
# everybody else's threads.
_PARALLEL_UNMOUNTS = 2

# What this driver has in <root>/containers/<id>: the writable layer, one half made, the work directory, empty
# lower layers, and the boot that the writable layer was last mounted in.
_UPPER, _FRESH, _WORK, _EMPTY, _BOOT = OWN = ("upper", "upper.new", "work", "empty", "boot")


class OverlayRootfs:
    """Root file systems of this server's containers."""

    def __init__(self, root: str, state: str, *, store: str = "", volatile: bool = True) -> None:
        """`root` and `state` are the server's directories; they exist. `volatile` as in mount_options.

        `store` is the directory that has the layers, if it is not `root`.
        """
        self._layers = os.path.join(os.path.realpath(store or root), "layers")
        self._writable = os.path.join(os.path.realpath(root), "containers")
        self._mounts = os.path.join(os.path.realpath(state), "containers")
        self._volatile = volatile
        self._unmounts = asyncio.Semaphore(_PARALLEL_UNMOUNTS)

    def path(self, container_id: str) -> str:
        """Where the root is or would be mounted."""
        return f"{self._mounts}/{container_id}/rootfs"

    def writable(self, container_id: str) -> str:
        """The directory of the writable layer."""
        return f"{self._own(container_id)}/{_UPPER}"

    async def mount(
        self, container_id: str, layers: tuple[int, ...], *, readonly: bool = False, idmap: Idmap | None = None
    ) -> str:
        """Mount layers (lowest first) under a private writable layer; returns the mount point. Idempotent.

        `readonly` means without a writable layer at all, for image volumes: a runtime makes a container's root
        read-only itself. With `idmap` the layers' files belong to the ids of that user namespace, and so does the
        writable layer's root; all else in that is written by the container, with its own ids.
        FailedPrecondition when a layer is missing or the directories cannot carry an overlay.
        """
        return await offload(self._mount, container_id, layers, readonly, idmap)

    async def unmount(self, container_id: str) -> None:
        """Unmount, keep the writable layer. Idempotent."""
        async with self._unmounts:
            await offload(self._unmount, container_id)

    async def remove(self, container_id: str) -> None:
        """Unmount and delete the writable layer, however deep its directories. Idempotent."""
        await self.unmount(container_id)
        try:
            await offload(self._remove, container_id)
        except OSError as error:
            raise Internal(f"cannot remove the writable layer of container {container_id}: {error}") from error

    async def list(self) -> frozenset[str]:
        """Ids of containers that have a writable layer or a mount."""
        return await offload(self._list)

    def _own(self, container_id: str) -> str:
        return f"{self._writable}/{container_id}"

    def _from_layers(self, container_id: str) -> str:
        """The container's directory as seen from that of the layers: in mount options every byte counts."""
        return os.path.relpath(self._own(container_id), self._layers)

    def _mount(self, container_id: str, layers: Sequence[int], readonly: bool, idmap: Idmap | None) -> str:
        target = self.path(container_id)
        if mount.is_mountpoint(target):
            return target
        own = self._own(container_id)
        for directory in (target, own, self._layers):
            files.make_private(directory)
        lower = self._lower(container_id, layers, readonly)
        upper = "" if readonly else self._from_layers(container_id)
        options = mount_options(lower, upper, volatile=self._volatile)
        try:
            if not readonly:
                self._prepare(own, layers, idmap)
            if idmap is not None:
                self._let_in(target, idmap)
                asked("mount", f"mount --bind -o X-mount.idmap={idmap.namespace} {self._layers} {self._layers}")
            asked("mount", f"cd {self._layers} && mount -t overlay -o {options} overlay {target}")
            mount_layers(self._layers, lower, target, options, idmap=idmap)
        except OSError as error:
            raise _explained(error, container_id) from error
        return target

    def _lower(self, container_id: str, layers: Sequence[int], readonly: bool) -> Sequence[str]:
        """Lower directories, uppermost first, relative to the layers' directory."""
        if len(layers) > MAX_LAYERS - 1:
            raise FailedPrecondition(f"image has {len(layers)} layers; overlayfs takes {MAX_LAYERS - 1}: squash it")
        lower = [layer_name(number) for number in reversed(layers)]
        # Overlayfs wants one lower directory, and two when nothing is above them.
        for number in range((2 if readonly else 1) - len(layers)):
            empty = f"{self._from_layers(container_id)}/{_EMPTY}/{number}"
            os.makedirs(f"{self._layers}/{empty}", mode=0o755, exist_ok=True)
            lower.append(empty)
        return lower

    def _let_in(self, target: str, idmap: Idmap) -> None:
        """Let the root of a user namespace, a stranger on the host, come to its container's root by the path.

        The directories above that are others' as well may be passed, not listed; the container's own, by it alone.
        """
        _, gid = idmap.ids.on_host(0, 0)
        own = os.path.dirname(target)
        for shared in (os.path.dirname(self._mounts), self._mounts):
            os.chmod(shared, 0o711)
        os.chown(own, 0, gid)
        os.chmod(own, 0o710)

    def _prepare(self, own: str, layers: Sequence[int], idmap: Idmap | None) -> None:
        """Make the writable layer, or ready it to be mounted again."""
        boot, marker = proc.boot_id(), f"{own}/{_BOOT}"
        if _content(marker) not in ("", boot):
            # Written under `volatile` and not flushed before the machine went down: nobody knows what is in it.
            trees.remove_tree(f"{own}/{_UPPER}")
        # The mark that a volatile mount leaves. In the same boot all that was written is still in memory or on disk.
        trees.remove_tree(f"{own}/{_WORK}")
        os.makedirs(f"{own}/{_WORK}", mode=0o700)
        if not os.path.isdir(f"{own}/{_UPPER}"):
            self._make_upper(own, layers, idmap)
        files.write_atomic(marker, boot.encode())

    def _make_upper(self, own: str, layers: Sequence[int], idmap: Idmap | None) -> None:
        """The merged root directory shows the upper's owner and mode: the image's, from its topmost layer."""
        fresh = f"{own}/{_FRESH}"
        trees.remove_tree(fresh)
        os.mkdir(fresh)
        if layers:
            image = os.lstat(f"{self._layers}/{layer_name(layers[-1])}")
            ids = image.st_uid, image.st_gid
            os.chown(fresh, *(idmap.ids.on_host(*ids) if idmap else ids))
            os.chmod(fresh, stat.S_IMODE(image.st_mode))
            os.utime(fresh, ns=(image.st_atime_ns, image.st_mtime_ns))
        else:
            if idmap:
                os.chown(fresh, *idmap.ids.on_host(0, 0))
            os.chmod(fresh, 0o755)
        os.rename(fresh, f"{own}/{_UPPER}")

    def _unmount(self, container_id: str) -> None:
        target = self.path(container_id)
        try:
            mount.unmount(target)
        except OSError as error:
            raise Internal(f"cannot unmount the root of container {container_id}: {error}") from error
        for empty in (target, os.path.dirname(target)):
            with contextlib.suppress(OSError):
                os.rmdir(empty)

    def _remove(self, container_id: str) -> None:
        own = self._own(container_id)
        for name in OWN:
            trees.remove_tree(f"{own}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(own)

    def _list(self) -> frozenset[str]:
        writable = [found for found in _names(self._writable) if set(OWN).intersection(_names(self._own(found)))]
        mounted = [found for found in _names(self._mounts) if os.path.isdir(self.path(found))]
        return frozenset([*writable, *mounted])


def mount_layers(
    layers: str, lower: Sequence[str], target: str, options: str, flags: int = 0, *, idmap: Idmap | None = None
) -> None:
    """Mount an overlay at `target` whose `options` name `lower` and more, relative to `layers`. OSError. Blocks.

    With `idmap` what lies in `layers` appears with the ids of that user namespace: an overlay keeps how its lower
    layers are mapped (Linux 5.19), while it cannot be mapped itself. The mapped view of all layers is only there while
    the overlay is made, in mounts that nobody else sees, so pods with any mappings share the same files.
    """

    def overlay() -> None:
        mount.mount("overlay", target, "overlay", flags, options)

    def mapped(userns: str) -> None:
        # Other stores' layers are reached by links, s0/7 for one, so their directories are elsewhere.
        links = {os.path.dirname(name) for name in lower if not name.startswith("..")}
        for directory in {os.path.realpath(f"{layers}/{link}") for link in links}:
            mount.bind_mapped(directory, directory, userns)
        os.chdir(layers)
        overlay()

    if idmap is None:
        namespaces.in_directory(layers, overlay)
    else:
        userns = idmap.namespace
        namespaces.in_private_mounts(lambda: mapped(userns), target)


def mount_options(lower: Sequence[str], upper: str, *, volatile: bool) -> str:
    """Options of an overlay mount. `lower` is uppermost first, `upper` the directory that holds upper/ and work/.

    index, metacopy and redirect_dir are off whatever the kernel's defaults are: with them attributes in a writable
    layer can name other files of the lower layers, and layers are tied to the file system they were made on.
    `volatile` leaves out every flush to disk: after 200 MB written, unmounting takes 1.6 ms instead of 98 ms. What it
    risks is the writable layer after a power loss, and that is dropped anyway: no container outlives the machine's
    boot. Volumes are mounts of their own and not touched.
    FailedPrecondition when the options do not fit into what mount(2) takes.
    """
    parts = [f"lowerdir={':'.join(lower)}"]
    if upper:
        parts += [f"upperdir={upper}/{_UPPER}", f"workdir={upper}/{_WORK}"]
        parts += ["volatile"] if volatile else []
    options = ",".join([*parts, "index=off", "metacopy=off", "redirect_dir=off"])
    if len(options) > MAX_OPTIONS:
        raise FailedPrecondition(f"{len(lower)} layers make mount options of {len(options)} bytes, over {MAX_OPTIONS}")
    return options


def _explained(error: OSError, container_id: str) -> FailedPrecondition | Internal:
    what = f"cannot mount the root of container {container_id}: {error}"
    if error.errno == errno.ENOENT:
        return FailedPrecondition(f"{what}: a layer of its image is missing; remove and pull the image again")
    if error.errno == errno.EINVAL:
        return FailedPrecondition(f"{what}: is the server's root directory itself on overlayfs or a network mount?")
    return Internal(what)


def _names(directory: str) -> Sequence[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return ()


def _content(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""
