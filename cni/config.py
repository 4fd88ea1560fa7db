"""Network configurations: what a `.conflist`, `.conf` or `.json` file says, as frozen values (spec, section 1).

Pure: bytes in, `NetworkConfig` or InvalidNetworkConfig out. Which files there are is `confdir`'s matter, what a plugin
finally gets is `request`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from .errors import CniError, IncompatibleVersion, InvalidNetworkConfig
from .fields import FieldError, Node, decode, node
from .version import DEFAULT, offered, well_formed

T = TypeVar("T")

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,127}", re.ASCII)
"""A network's name (spec, section 1). The specification sets no length; 128 keeps it usable in file names."""


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """One plugin of a network: its type, the capabilities it declares, and its own JSON object untouched."""

    type: str
    capabilities: frozenset[str] = frozenset()
    raw: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """One network: its `plugins` in the order of ADD, and the `versions` that it offers, known ones, oldest first."""

    name: str
    versions: tuple[str, ...]
    plugins: tuple[PluginConfig, ...]
    disable_check: bool = False
    disable_gc: bool = False
    load_only_inlined: bool = False
    source: str = ""

    @property
    def cni_version(self) -> str:
        """The highest version that the configuration offers (spec, "Version considerations")."""
        return self.versions[-1]

    def with_plugins(self, more: tuple[PluginConfig, ...]) -> NetworkConfig:
        """Return the network with plugins from its own directory appended (spec, loadOnlyInlinedPlugins).

        Raises InvalidNetworkConfig when that leaves it with no plugin at all.
        """
        plugins = self.plugins if self.load_only_inlined else self.plugins + more
        if not plugins:
            raise InvalidNetworkConfig(f'network "{self.name}" has no plugins')
        return replace(self, plugins=plugins)

    def to_json(self) -> dict[str, Any]:
        """Return the network as a configuration list that `parse_list` reads back, whole in itself."""
        return {
            "cniVersion": self.cni_version,
            "cniVersions": list(self.versions),
            "name": self.name,
            "disableCheck": self.disable_check,
            "disableGC": self.disable_gc,
            "loadOnlyInlinedPlugins": True,
            "plugins": [dict(plugin.raw) for plugin in self.plugins],
        }


def check_type(name: str, where: str) -> str:
    """Return a plugin type that is a plain file name; raise InvalidNetworkConfig otherwise.

    A type with a slash would run any program of the host (CVE-2021-20206).
    """
    if not name:
        raise InvalidNetworkConfig(f"{where}: missing; it names the plugin's program")
    if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable() or len(name.encode()) > 255:
        raise InvalidNetworkConfig(
            f"{where}: {name[:64]!r} must be a file name in a plugin directory, without any slash"
        )
    return name


def parse_list(data: bytes, source: str = "configuration") -> NetworkConfig:
    """Return the network of a `.conflist` file. It may have no plugins yet: see `NetworkConfig.with_plugins`.

    `source` names the file in messages. Raises InvalidNetworkConfig or IncompatibleVersion.
    """
    return replace(_translated(_list, data, source), source=source)


def parse_single(data: bytes, source: str = "configuration") -> NetworkConfig:
    """Return the network of a `.conf` or `.json` file, which holds one plugin's object alone (before spec 1.0.0).

    Raises InvalidNetworkConfig or IncompatibleVersion.
    """
    return replace(_translated(_single, data, source), source=source)


def parse_plugin(data: bytes, source: str = "configuration") -> PluginConfig:
    """Return the plugin of a file in a network's own directory (spec 1.1.0). Raises InvalidNetworkConfig."""
    return _translated(_plugin, data, source)


def _translated(read: Callable[[Node], T], data: bytes, source: str) -> T:
    try:
        return read(decode(data, "conf"))
    except FieldError as error:
        raise InvalidNetworkConfig(f"{source}: {error}") from None
    except CniError as error:
        raise type(error)(f"{source}: {error.msg}") from None


def _list(document: Node) -> NetworkConfig:
    if document.has("type") and not document.has("plugins"):
        raise InvalidNetworkConfig(
            'conf: this is a single plugin, not a list; name the file ".conf" or wrap it in "plugins"'
        )
    only_inlined = document.flag("loadOnlyInlinedPlugins")
    plugins = tuple(_plugin(entry) for entry in document.children("plugins"))
    if not plugins and (document.has("plugins") or only_inlined):
        raise InvalidNetworkConfig("conf.plugins: holds no plugin")
    return NetworkConfig(
        name=_name(document),
        versions=_versions(document),
        plugins=plugins,
        disable_check=document.flag("disableCheck"),
        disable_gc=document.flag("disableGC"),
        load_only_inlined=only_inlined,
    )


def _single(document: Node) -> NetworkConfig:
    if document.has("plugins") and not document.has("type"):
        raise InvalidNetworkConfig('conf: this is a list of plugins; name the file ".conflist"')
    plugin = _plugin(document)
    return NetworkConfig(_name(document), _versions(document), (plugin,), load_only_inlined=True)


def _plugin(entry: Node) -> PluginConfig:
    kind = check_type(entry.text("type"), entry.at("type"))
    ipam = entry.value.get("ipam")
    # The plugin runs this one itself; old ones do so without the check of CVE-2021-20206.
    if isinstance(ipam, dict) and node(ipam, entry.at("ipam")).text("type"):
        check_type(ipam["type"], f"{entry.at('ipam')}.type")
    capabilities = entry.child("capabilities")
    return PluginConfig(kind, frozenset(key for key in capabilities.value if capabilities.flag(key)), entry.value)


def _name(document: Node) -> str:
    name = document.text("name")
    if not NAME.fullmatch(name):
        raise InvalidNetworkConfig(
            f"{document.at('name')}: {name[:64]!r} must start with a letter or digit, followed by letters, digits, "
            '"_", "." or "-", 128 at most'
        )
    return name


def _versions(document: Node) -> tuple[str, ...]:
    listed = document.strings("cniVersions")
    one = document.text("cniVersion")
    wanted = (*listed, one) if one else listed or (DEFAULT,)
    for version in wanted:
        if not well_formed(version):
            raise IncompatibleVersion(f"{document.at('cniVersion')}: {version[:32]!r} is not a version such as 1.0.0")
    return offered(wanted)
