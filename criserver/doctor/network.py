"""The pod network: a configuration that can be read, and every plugin that it names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import cni
from criserver.config.schema import Config
from criserver.doctor.finding import Finding, error, note, ok, warning
from criserver.kernel.process import PATH

_SAMPLE = "/usr/share/doc/criserver/examples/10-criserver.conflist"


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What is in the directory; of the first network, the plugins that it names and those that are not found."""

    conf_dir: str
    bin_dirs: tuple[str, ...]
    default_conflist: bool
    directory: bool = True
    networks: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    iptables: bool = True


async def read(config: Config) -> NetworkFacts:
    """Read the directory as the server would."""
    section = config.network
    loaded = cni.ConfDir(section.conf_dir).current()
    first = loaded.networks[0] if loaded.networks else None
    plugins = {each.type: None for each in first.plugins} if first else {}
    ipam = [each.raw.get("ipam") for each in first.plugins] if first else []
    plugins |= {str(each["type"]): None for each in ipam if isinstance(each, dict) and each.get("type")}
    return NetworkFacts(
        conf_dir=section.conf_dir,
        bin_dirs=section.bin_dirs,
        default_conflist=section.default_conflist,
        directory=os.path.isdir(section.conf_dir),
        networks=tuple(each.name for each in loaded.networks),
        broken=tuple(str(each) for each in loaded.broken if each.path != section.conf_dir),
        plugins=tuple(plugins),
        missing=tuple(name for name in plugins if not _there(section.bin_dirs, name)),
        iptables=shutil.which("iptables", path=PATH) is not None,
    )


def judge(facts: NetworkFacts) -> Iterator[Finding]:
    """Findings about the pod network."""
    for problem in facts.broken:
        yield warning(f"a network configuration cannot be used: {problem}", "it is passed over", "mend or remove it")
    if not facts.networks:
        yield _without(facts)
    else:
        others = f" (of {len(facts.networks)}; the first by file name is used)" if facts.networks[1:] else ""
        yield ok(f"network {facts.networks[0]!r} in {facts.conf_dir}{others}")
    if facts.missing:
        yield error(
            f"CNI plugins are missing: {', '.join(facts.missing)} (looked in {', '.join(facts.bin_dirs)})",
            "pods get no network",
            "apt install containernetworking-plugins; the network add-on brings plugins of its own",
        )
    elif facts.plugins:
        yield ok(f"plugins {', '.join(facts.plugins)}")
    if not facts.iptables and {"portmap", "bridge", "firewall"} & set(facts.plugins):
        yield error(
            "iptables is missing", "the plugins cannot masquerade or map host ports", "apt install iptables"
        )


def _without(facts: NetworkFacts) -> Finding:
    what = f"{facts.conf_dir} {'holds no network configuration' if facts.directory else 'is not there'}"
    if facts.default_conflist:
        return note(what, "the embedded bridge network is used (network.default_conflist)")
    return error(
        what,
        "the node is not ready, and only pods on the host's network can run, until there is one",
        f"install the cluster's network add-on; for one node alone: mkdir -p {facts.conf_dir} && "
        f"cp {_SAMPLE} {facts.conf_dir}/ (or network.default_conflist: true)",
    )


def _there(bin_dirs: tuple[str, ...], plugin: str) -> bool:
    return "/" not in plugin and any(os.access(os.path.join(each, plugin), os.X_OK) for each in bin_dirs)
