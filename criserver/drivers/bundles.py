"""Bundles under `<state>/containers/<id>`: config.json, and `<root>/containers/<id>/volumes` for anonymous volumes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from typing import Any

from criserver.errors import Internal
from criserver.kernel.fds import open_in_root, remove_tree
from criserver.kernel.files import write_atomic
from criserver.kernel.offload import offload


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
        await offload(self._write, container_id, spec)

    async def read(self, container_id: str) -> dict[str, Any]:
        """config.json as it was written; Internal when it is missing or damaged."""
        return await offload(self._read, container_id)

    async def volume(self, container_id: str, number: int, rootfs: str, destination: str) -> str:
        """The anonymous volume of a VOLUME of the image, filled with what the root has there; returns its path."""
        return await offload(self._volume, container_id, number, rootfs, destination)

    async def remove(self, container_id: str) -> None:
        """Delete the container's directories. Idempotent."""
        await offload(remove_tree, os.path.join(self._root, container_id, "volumes"))
        await offload(_remove_empty, os.path.join(self._root, container_id))
        await offload(remove_tree, self.path(container_id))

    async def list(self) -> frozenset[str]:
        """Ids of containers that have a directory."""
        return await offload(_entries, self._state) | await offload(_entries, self._root)

    def _write(self, container_id: str, spec: Mapping[str, Any]) -> None:
        os.makedirs(self.path(container_id), mode=0o700, exist_ok=True)
        data = json.dumps(spec, separators=(",", ":")).encode()
        write_atomic(os.path.join(self.path(container_id), "config.json"), data)

    def _read(self, container_id: str) -> dict[str, Any]:
        path = os.path.join(self.path(container_id), "config.json")
        try:
            with open(path, "rb") as file:
                return dict(json.load(file))
        except (OSError, ValueError) as error:
            raise Internal(f"the OCI spec of container {container_id} cannot be read: {error}") from error

    def _volume(self, container_id: str, number: int, rootfs: str, destination: str) -> str:
        target = os.path.join(self._root, container_id, "volumes", str(number))
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        try:
            # Links in the image must not lead out of it (CVE-2022-23648).
            fd = open_in_root(rootfs, destination, os.O_PATH | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            os.makedirs(target, mode=0o755, exist_ok=True)
            return target
        try:
            shutil.copytree(f"/proc/self/fd/{fd}", target, symlinks=True, dirs_exist_ok=True)
            _copy_owner(f"/proc/self/fd/{fd}", target)
        finally:
            os.close(fd)
        return target


def _copy_owner(source: str, target: str) -> None:
    for directory, names, files in os.walk(source):
        for name in ("", *names, *files):
            path = os.path.join(directory, name) if name else directory
            status = os.lstat(path) if name else os.stat(path)
            os.lchown(os.path.join(target, os.path.relpath(path, source)), status.st_uid, status.st_gid)


def _remove_empty(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(directory)


def _entries(directory: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except FileNotFoundError:
        return frozenset()
