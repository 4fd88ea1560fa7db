"""What a plugin is given: its request on standard input and its environment (spec, "Deriving request configuration").

Pure: values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .attachment import Attachment, args_text
from .config import PluginConfig
from .result import Result
from .version import supports

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where plugins find iptables, nft, ip and the like; the caller's own environment is not passed on."""

VALID_ATTACHMENTS = "cni.dev/valid-attachments"
EARLY_VALID_ATTACHMENTS = "cni.dev/attachments"
"""The key that specification 1.1.0 named at first; plugins built at that time read it."""

Key = tuple[str, str]
"""(container id, interface name): what identifies an attachment."""


def for_attachment(
    plugin: PluginConfig, network: str, version: str, attachment: Attachment, previous: Result | None
) -> dict[str, Any]:
    """Return the request of ADD, DEL and CHECK: `previous` is the result to go on from, None for the first ADD."""
    request = _common(plugin, network, version)
    wanted = {
        name: value
        for name, value in attachment.capability_args.items()
        if name in plugin.capabilities and value is not None
    }
    if wanted:
        request["runtimeConfig"] = wanted
    if previous is not None and supports(version, "prevResult"):
        request["prevResult"] = previous.to_json(version)
    return request


def for_network(plugin: PluginConfig, network: str, version: str) -> dict[str, Any]:
    """Return the request of STATUS."""
    return _common(plugin, network, version)


def for_gc(plugin: PluginConfig, network: str, version: str, valid: Iterable[Key]) -> dict[str, Any]:
    """Return the request of GC: `valid` are the attachments that must stay."""
    entries = [{"containerID": container_id, "ifname": ifname} for container_id, ifname in sorted(valid)]
    return _common(plugin, network, version) | {VALID_ATTACHMENTS: entries, EARLY_VALID_ATTACHMENTS: entries}


def _common(plugin: PluginConfig, network: str, version: str) -> dict[str, Any]:
    # The reserved keys are the runtime's to set; what a file has under them must not pass for ours.
    reserved = ("capabilities", "runtimeConfig", "prevResult")
    kept = {k: v for k, v in plugin.raw.items() if k not in reserved and not k.startswith("cni.dev/")}
    return kept | {"cniVersion": version, "name": network}


def environment(command: str, bin_dirs: Sequence[str], attachment: Attachment | None = None) -> Mapping[str, str]:
    """Return the whole environment of a plugin for `command`; without an attachment, that of STATUS, GC and VERSION."""
    env = {"PATH": PATH, "CNI_COMMAND": command, "CNI_PATH": ":".join(bin_dirs)}
    if attachment is None:
        return env
    return env | {
        "CNI_CONTAINERID": attachment.container_id,
        "CNI_NETNS": attachment.netns,
        "CNI_IFNAME": attachment.ifname,
        "CNI_ARGS": args_text(attachment.args),
    }
