"""One container's attachment to a network: its parameters and what they must look like (spec, "Attachment Parameters").

Pure. How they become an environment and a request is `request`'s matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidParameter
from .fields import encode

CONTAINER_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*", re.ASCII)
ARGS_KEY = re.compile(r"[a-zA-Z0-9_]+", re.ASCII)
IFNAME_LIMIT = 15
"""Bytes of an interface name: the kernel's IFNAMSIZ less its terminating zero."""

Args = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """What to attach: `container_id` and `ifname` identify it, `netns` is the network namespace's path ("" when gone).

    `args` are CNI_ARGS pairs in order (see `pod_args`); `capability_args` maps a capability to its JSON value, of which
    a plugin gets those that it declares. Raises InvalidParameter when made from anything malformed.
    """

    container_id: str
    netns: str
    ifname: str = "eth0"
    args: Args = ()
    capability_args: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_container_id(self.container_id)
        check_ifname(self.ifname)
        if self.netns and (not self.netns.startswith("/") or not self.netns.isprintable()):
            raise InvalidParameter(f"netns {self.netns[:64]!r} must be an absolute path")
        args_text(self.args)
        try:
            encode(dict(self.capability_args))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidParameter(f"capability arguments are not JSON: {error}") from None


def check_container_id(container_id: str) -> None:
    """Raise InvalidParameter unless `container_id` is as the specification asks, and short enough for a file name."""
    if not CONTAINER_ID.fullmatch(container_id) or len(container_id) > 128:
        raise InvalidParameter(
            f"container id {container_id[:64]!r} must start with a letter or digit, followed by letters, digits, "
            '"_", "." or "-", 128 at most'
        )


def check_ifname(ifname: str) -> None:
    """Raise InvalidParameter unless the kernel would take `ifname` (dev_valid_name in its net/core/dev.c)."""
    if not ifname or ifname in (".", ".."):
        raise InvalidParameter(f"interface name {ifname!r} must not be empty, . or ..")
    if len(ifname.encode(errors="replace")) > IFNAME_LIMIT:
        raise InvalidParameter(f"interface name {ifname[:64]!r} is longer than {IFNAME_LIMIT} bytes")
    if any(c in "/:" or c.isspace() or not c.isprintable() for c in ifname):
        raise InvalidParameter(
            f'interface name {ifname!r} must not contain "/", ":", white space or control characters'
        )


def args_text(args: Iterable[tuple[str, str]]) -> str:
    """Return CNI_ARGS for these pairs, as `K=V;K=V`.

    The format has no escape, so a value with ";" or "=" would reach the plugin as other pairs: InvalidParameter.
    """
    pairs = []
    for key, value in args:
        if not ARGS_KEY.fullmatch(key):
            raise InvalidParameter(f"CNI_ARGS key {key[:64]!r} must be letters, digits and underscores")
        if ";" in value or "=" in value or not value.isprintable():
            raise InvalidParameter(
                f'CNI_ARGS value of {key}, {value[:64]!r}, must not contain ";", "=" or control characters'
            )
        pairs.append(f"{key}={value}")
    return ";".join(pairs)


def pod_args(*, namespace: str, name: str, uid: str, infra_container_id: str) -> Args:
    """Return the CNI_ARGS that Kubernetes plugins look for; IgnoreUnknown lets the others pass over them."""
    return (
        ("IgnoreUnknown", "1"),
        ("K8S_POD_NAMESPACE", namespace),
        ("K8S_POD_NAME", name),
        ("K8S_POD_INFRA_CONTAINER_ID", infra_container_id),
        ("K8S_POD_UID", uid),
    )
