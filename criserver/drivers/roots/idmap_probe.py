"""Whether this host can give a pod a user namespace of its own: tried out, since kernel, file system and paths decide.

What is tried is what `overlay` does for a container of such a pod, in mounts that nobody else ever sees.
"""

from __future__ import annotations

import os
import stat

from conmon.client import Zygote
from criserver.drivers.roots.namespaces import user_namespace
from criserver.errors import CriError
from criserver.kernel import files, mount, namespaces
from criserver.kernel.offload import offload
from criserver.model.security import IdMapping, NamespaceMode, UserNamespace

_MAPPINGS = (IdMapping(host_id=65536, container_id=0, length=65536),)


async def lacks(store: str, state: str, zygote: Zygote) -> str:
    """Why pods cannot have user namespaces here, in words for whoever asked for one; "" when they can.

    `store` is the directory that has the layers, `state` the server's state directory; they exist.
    """
    try:
        made, _ = await user_namespace(zygote, "a probe", UserNamespace(NamespaceMode.POD, _MAPPINGS, _MAPPINGS))
    except CriError as error:
        return f"this kernel gives no user namespaces ({error})"
    try:
        return await offload(_lacks, store, state, made["user"])
    finally:
        os.close(made["user"])


def _lacks(store: str, state: str, userns: int) -> str:
    store, state = os.path.realpath(store), os.path.realpath(state)
    if closed := _closed(state):
        return f"{closed} is closed to others, so a pod's root would not reach its containers: chmod o+x {closed}"
    layers = os.path.join(store, "layers")
    files.make_private(layers)
    try:
        namespaces.in_private_mounts(lambda: _rehearse(layers, state, f"/proc/self/fd/{userns}"))
    except OSError as error:
        return f"the kernel cannot map the ids of image layers on the file system of {store} ({error}; Linux 5.19 can)"
    return ""


def _closed(state: str) -> str:
    """The topmost directory above `state` that strangers may not pass; "" when there is none."""
    parent = os.path.dirname(state)
    above = "" if parent == "/" else _closed(parent)
    if above or os.stat(parent).st_mode & stat.S_IXOTH:
        return above
    return parent


def _rehearse(layers: str, scratch: str, userns: str) -> None:
    """An overlay on mapped layers, in a tmpfs on `scratch`."""
    mount.mount("probe", scratch, "tmpfs", 0, "size=64k,mode=700")
    os.chdir(scratch)
    for name in ("mapped", "other", "overlay"):
        os.mkdir(name)
    mount.bind_mapped(layers, "mapped", userns)
    mount.mount("overlay", "overlay", "overlay", 0, "lowerdir=mapped:other")
