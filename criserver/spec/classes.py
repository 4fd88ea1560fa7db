"""Classes of cache and memory bandwidth (RDT, resctrl) and of block I/O, which pods choose by annotation.

The annotations are those that both peers read (goresctrl): one for all containers of a pod, one for each by its name,
and one of the container itself, the nearer counting more. A class that this node does not have is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from criserver.errors import FailedPrecondition
from criserver.spec.wish import SpecWish

_POD = {"rdt": "rdt.resources.beta.kubernetes.io", "blockio": "blockio.resources.beta.kubernetes.io"}
_CONTAINER = {"rdt": "io.kubernetes.cri.rdt-class", "blockio": "io.kubernetes.cri.blockio-class"}


def rdt(wish: SpecWish) -> dict[str, Any]:
    """linux.intelRdt; empty when no class is asked for."""
    name = _chosen("rdt", wish)
    if not name:
        return {}
    if wish.host.rdt_classes is None:
        raise FailedPrecondition(
            f"annotation {_POD['rdt']}: class {name!r}, but this host has no resctrl file system mounted; mount it at "
            "/sys/fs/resctrl where the processor has RDT, or leave the annotation out"
        )
    _check("rdt", name, wish.host.rdt_classes, "make it as a directory of /sys/fs/resctrl")
    return {"closID": name}


def block_io(wish: SpecWish) -> dict[str, Any]:
    """linux.resources.blockIO; empty when no class is asked for."""
    name = _chosen("blockio", wish)
    if not name:
        return {}
    _check("blockio", name, wish.policy.block_io, "describe it in runtime.block_io_classes")
    return dict(wish.policy.block_io[name])


def _chosen(kind: str, wish: SpecWish) -> str:
    pod, own = wish.sandbox.annotations, wish.config.annotations
    by_name = f"{_POD[kind]}/container.{wish.config.metadata.name}"
    return own.get(_CONTAINER[kind]) or pod.get(by_name) or pod.get(f"{_POD[kind]}/pod") or ""


def _check(kind: str, name: str, known: Collection[str], how: str) -> None:
    if name not in known:
        raise FailedPrecondition(
            f"annotation {_POD[kind]}: this node has no class {name[:80]!r}; it has: "
            f"{', '.join(sorted(known)) or 'none'}; {how}"
        )
