"""Annotations of the document: what runtimes and people may read there, and nothing that a pod slips in.

A runtime acts on some annotations (systemd properties, devices, handlers), so a pod's own reach it only by the
handler's allow-list: an exact key, or the beginning of keys that the operator has written with a "*" (CVE-2024-3154,
CVE-2023-6476).
"""

from __future__ import annotations

from collections.abc import Iterable

from criserver.spec.wish import SpecWish

_NEVER = "org.systemd.property."
# crun would put the processes one cgroup below the scope, where nobody looks for them (crun(1)).
_SUBGROUP = "run.oci.systemd.subgroup"


def document_annotations(wish: SpecWish) -> dict[str, str]:
    """`annotations` of the document, sorted: allowed ones of pod and container, then ours, which nobody overrides."""
    pod, container = wish.sandbox, wish.config
    result = {
        key: value
        for source in (pod.annotations, container.annotations)
        for key, value in source.items()
        if allowed(key, wish.policy.allowed_annotations)
    }
    result.update(
        {
            "io.kubernetes.cri.container-name": container.metadata.name,
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.image-name": container.image.user_specified_image or container.image.image,
            "io.kubernetes.cri.sandbox-id": wish.sandbox_id,
            "io.kubernetes.cri.sandbox-name": pod.metadata.name,
            "io.kubernetes.cri.sandbox-namespace": pod.metadata.namespace,
            "io.kubernetes.cri.sandbox-uid": pod.metadata.uid,
        }
    )
    if wish.cgroups_path.count(":") == 2:
        result[_SUBGROUP] = ""
    return dict(sorted(result.items()))


def allowed(key: str, patterns: Iterable[str]) -> bool:
    """Whether an allow-list lets the key pass."""
    if key.startswith(_NEVER):
        return False
    return any(
        key == pattern or (pattern.endswith("*") and key.startswith(pattern.removesuffix("*"))) for pattern in patterns
    )
