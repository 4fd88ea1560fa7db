"""The whole config.json of a container, put together from its parts; and what of the request this host cut short."""

from __future__ import annotations

from typing import Any

from criserver.errors import InvalidArgument
from criserver.model.edits import Hook
from criserver.spec import (
    base,
    binds,
    capabilities,
    checks,
    classes,
    devices,
    edits,
    mounts,
    namespaces,
    process,
    resources,
    security,
)
from criserver.spec.annotations import document_annotations
from criserver.spec.wish import SpecWish

# Older than some of what is in the documents: crun before 1.14.3 takes no other, and no runtime minds.
_OCI_VERSION = "1.0.2"


def build(wish: SpecWish) -> dict[str, Any]:
    """The OCI document of a container (runtime-spec config.md and config-linux.md); equal wishes give equal documents.

    InvalidArgument names a field of the request that has no meaning, FailedPrecondition one that this host or handler
    cannot serve, Internal something that the wish lacks.
    """
    _check_privileged(wish)
    document: dict[str, Any] = {
        "ociVersion": _OCI_VERSION,
        "process": process.process(wish),
        "root": {"path": wish.rootfs, "readonly": wish.config.security.readonly_rootfs or wish.policy.readonly_rootfs},
        "mounts": mounts.mounts(wish),
        "annotations": document_annotations(wish),
        "linux": _linux(wish),
    }
    if wish.policy.base:
        document = base.under(wish.policy.base, document)
    document = edits.with_hooks(edits.apply(document, wish.edits), _hooks(wish, document))
    checks.writable(document)
    return document


def _hooks(wish: SpecWish, document: dict[str, Any]) -> tuple[Hook, ...]:
    """Hooks of the operator's directories for this container."""
    annotations = {**wish.sandbox.annotations, **wish.config.annotations}
    command = document["process"]["args"][0]
    return edits.matching(wish.hooks, command, annotations, bind_mounts=bool(wish.config.mounts))


def clamped(wish: SpecWish) -> tuple[str, ...]:
    """What the daemon could not give since it lacks it itself, in words for its log; empty when all was given."""
    wanted = wish.config.resources.oom_score_adj
    given = process.oom_score_adj(wanted, wish.host)
    missing = capabilities.withheld(wish.config.security, wish.policy.default_capabilities, wish.host.capabilities)
    result = [f"oom_score_adj {wanted} became {given}: no CAP_SYS_RESOURCE to go lower"] if given != wanted else []
    if missing:
        result.append(f"capabilities left out, since this daemon does not have them: {', '.join(missing)}")
    return tuple(result)


def _check_privileged(wish: SpecWish) -> None:
    if wish.config.security.privileged and not wish.sandbox.security.privileged:
        raise InvalidArgument(
            "config.linux.security_context.privileged: the pod sandbox was not made for privileged containers; "
            "set privileged in the sandbox's security_context too"
        )


def _block_io(wish: SpecWish) -> dict[str, Any]:
    found = classes.block_io(wish)
    return {"blockIO": found} if found else {}


def _linux(wish: SpecWish) -> dict[str, Any]:
    limits = resources.resources(wish.config.resources, wish.host, wish.policy, "config.linux.resources")
    result: dict[str, Any] = {
        **namespaces.describe(wish),
        "cgroupsPath": wish.cgroups_path,
        "devices": devices.nodes(wish),
        "resources": {"devices": devices.rules(wish), **limits, **_block_io(wish)},
        "maskedPaths": security.masked_paths(wish),
        "readonlyPaths": security.readonly_paths(wish),
    }
    propagation = binds.rootfs_propagation(resolved.mount for resolved in wish.mounts)
    seccomp = security.seccomp_filter(wish)
    _, label = security.selinux_labels(wish)
    optional = {
        "rootfsPropagation": propagation, "seccomp": seccomp, "mountLabel": label, "intelRdt": classes.rdt(wish)
    }  # fmt: skip
    return result | {key: value for key, value in optional.items() if value}
