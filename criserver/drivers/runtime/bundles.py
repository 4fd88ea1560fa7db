"""Bundles under `<state>/containers/<id>`: config.json, and `<root>/containers/<id>/volumes` for anonymous volumes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from typing import Any

from criserver.errors import CriError, Internal, InvalidArgument, ResourceExhausted
from criserver.kernel.copying import copy_tree
from criserver.kernel.fds import open_in_root, remove_tree
from criserver.kernel.files import make_private, write_atomic
from criserver.kernel.offload import offload
from criserver.observe.timings import asked

_FULL = (errno.ENOSPC, errno.EDQUOT)


class BundlesDriver:
    """Implements `ports.bundles.Bundles`."""

    def __init__(self, root: str, state: str) -> None:
        self._state = os.path.join(state, "containers")
        self._root = os.path.join(root, "containers")

    def path(self, container_id: str) -> str:
        """The bundle directory."""
        return os.path.join(self._state, container_id)

    async def write(self, container_id: str, spec: Mapping[str, Any]) -> None:
        """Write config.json into the container's private directory (0700). Idempotent."""
        data = json.dumps(spec, separators=(",", ":"))
        asked("file", f"write {self.path(container_id)}/config.json", data)
        await offload(self._write, container_id, data.encode())

    async def read(self, container_id: str) -> dict[str, Any]:
        """config.json as it was written; Internal when it is missing or damaged."""
        return await offload(self._read, container_id)

    async def find(self, container_id: str) -> dict[str, Any] | None:
        """config.json as it was written; None when it is not there, Internal when it is damaged."""
        return await offload(self._find, container_id)

    async def volume(
        self, container_id: str, number: int, rootfs: str, destination: str, owner: tuple[int, int] = (0, 0)
    ) -> str:
        """The anonymous volume of a VOLUME of the image, filled with what the root has there; returns its path.

        Where the root has nothing, it belongs to `owner` (uid and gid on the host). Fifos, sockets and devices stay
        behind. InvalidArgument for what cannot be copied, ResourceExhausted.
        """
        return await offload(self._volume, container_id, number, rootfs, destination, owner)

    async def remove(self, container_id: str) -> None:
        """Delete the container's directories. Idempotent."""
        await offload(remove_tree, os.path.join(self._root, container_id, "volumes"))
        await offload(_remove_empty, os.path.join(self._root, container_id))
        await offload(remove_tree, self.path(container_id))

    async def list(self) -> frozenset[str]:
        """Ids of containers that have a directory."""
        return await offload(_entries, self._state) | await offload(_entries, self._root)

    def _write(self, container_id: str, data: bytes) -> None:
        make_private(self.path(container_id))
        write_atomic(os.path.join(self.path(container_id), "config.json"), data)

    def _read(self, container_id: str) -> dict[str, Any]:
        if (found := self._find(container_id)) is None:
            raise Internal(f"the OCI spec of container {container_id} cannot be read: there is none")
        return found

    def _find(self, container_id: str) -> dict[str, Any] | None:
        path = os.path.join(self.path(container_id), "config.json")
        try:
            with open(path, "rb") as file:
                return dict(json.load(file))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise Internal(f"the OCI spec of container {container_id} cannot be read: {error}") from error

    def _volume(self, container_id: str, number: int, rootfs: str, destination: str, owner: tuple[int, int]) -> str:
        target = os.path.join(self._root, container_id, "volumes", str(number))
        make_private(os.path.dirname(target))
        os.makedirs(target, mode=0o755, exist_ok=True)
        if owner != (0, 0):
            os.chown(target, *owner)
        try:
            # Links in the image must not lead out of it (CVE-2022-23648).
            fd = open_in_root(rootfs, destination, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return target
        except OSError as error:
            raise _uncopied(destination, error) from error
        try:
            copy_tree(fd, target)
        except OSError as error:
            raise _uncopied(destination, error) from error
        finally:
            os.close(fd)
        return target


def _uncopied(destination: str, error: OSError) -> CriError:
    message = f"image: what it has in its volume {destination} cannot be copied: {error}"
    return ResourceExhausted(message) if error.errno in _FULL else InvalidArgument(message)


def _remove_empty(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(directory)


def _entries(directory: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except FileNotFoundError:
        return frozenset()
