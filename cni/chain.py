"""One operation over the plugins of a network, in the specification's order (section 3); no disk, no locks, no undo.

ADD hands each plugin's result to the next and stops at the first failure, as CHECK and STATUS do. DEL runs backwards,
and like GC goes on to the end and returns every error.
"""

from __future__ import annotations

from collections.abc import Iterable

from .attachment import Attachment
from .config import NetworkConfig
from .errors import CniError, IncompatibleVersion, InvalidNetworkConfig, PluginNotFound, UnknownContainer
from .plugins import Plugins
from .request import Key, for_attachment, for_gc, for_network
from .result import Result, parse
from .version import choose, listing, supports


async def negotiate(plugins: Plugins, config: NetworkConfig) -> str:
    """Return the highest version that the configuration offers and all its plugins speak.

    Plugins are asked only when the configuration leaves a choice. Raises IncompatibleVersion, telling who speaks what.
    """
    if len(config.versions) == 1:
        return config.cni_version
    spoken = {}
    for plugin in config.plugins:
        try:
            spoken[plugin.type] = await plugins.versions(plugin.type)
        except PluginNotFound:
            continue  # reported where the plugin is needed; a DEL must go on without it
    version = choose(config.versions, (speaks for speaks in spoken.values() if speaks))
    if version is None:
        raise IncompatibleVersion(
            f'network "{config.name}" offers {listing(config.versions)}, which its plugins do not all speak',
            details="; ".join(f"{kind}: {listing(sorted(speaks))}" for kind, speaks in spoken.items() if speaks),
        )
    return version


async def fallback(plugins: Plugins, config: NetworkConfig) -> str:
    """Return what `negotiate` does, or the configuration's highest version: cleaning up goes on when nothing fits."""
    try:
        return await negotiate(plugins, config)
    except IncompatibleVersion:
        return config.cni_version


async def add(plugins: Plugins, config: NetworkConfig, version: str, attachment: Attachment) -> Result:
    """Run ADD and return the last plugin's result. Raises the first failure; a result of no use is one."""
    result: Result | None = None
    for plugin in config.plugins:
        request = for_attachment(plugin, config.name, version, attachment, result)
        output = await plugins.call(plugin.type, "ADD", request, attachment)
        try:
            result = parse(output, version)
        except CniError as error:
            error.plugin, error.command = plugin.type, "ADD"
            raise
    if result is None:
        raise InvalidNetworkConfig(f'network "{config.name}" has no plugins')
    return result


async def delete(
    plugins: Plugins, config: NetworkConfig, version: str, attachment: Attachment, result: Result | None
) -> list[CniError]:
    """Run DEL, last plugin first, with the `result` of ADD if it is known, and return what failed."""
    previous = result if supports(version, "prevResult on DEL") else None
    errors: list[CniError] = []
    for plugin in reversed(config.plugins):
        try:
            request = for_attachment(plugin, config.name, version, attachment, previous)
            await plugins.call(plugin.type, "DEL", request, attachment)
        except UnknownContainer:
            continue  # the specification's word for "nothing to clean up here"
        except CniError as error:
            errors.append(error)
    return errors


async def check(plugins: Plugins, config: NetworkConfig, version: str, attachment: Attachment, result: Result) -> None:
    """Run CHECK against the `result` of ADD. Raises the first complaint."""
    for plugin in config.plugins:
        request = for_attachment(plugin, config.name, version, attachment, result)
        await plugins.call(plugin.type, "CHECK", request, attachment)


async def status(plugins: Plugins, config: NetworkConfig) -> None:
    """Raise why ADD cannot be served now: a missing program, versions that do not fit, a plugin's own STATUS."""
    for plugin in config.plugins:
        plugins.find(plugin.type)
    version = await negotiate(plugins, config)
    if not supports(version, "STATUS"):
        return
    for plugin in config.plugins:
        # A plugin that is too old takes STATUS for a broken ADD and complains of a missing container id.
        speaks = await plugins.versions(plugin.type)
        if speaks and version not in speaks:
            raise IncompatibleVersion(
                f'speaks {listing(sorted(speaks))}; network "{config.name}" asks for "{version}"',
                plugin=plugin.type,
                command="STATUS",
            )
        await plugins.call(plugin.type, "STATUS", for_network(plugin, config.name, version))


async def gc(plugins: Plugins, config: NetworkConfig, valid: Iterable[Key]) -> list[CniError]:
    """Run GC where configuration and plugin have it, and return what failed. `valid` are the attachments that stay."""
    version = await fallback(plugins, config)
    if config.disable_gc or not supports(version, "GC"):
        return []
    errors: list[CniError] = []
    for plugin in config.plugins:
        try:
            speaks = await plugins.versions(plugin.type)
            if not speaks or version in speaks:
                await plugins.call(plugin.type, "GC", for_gc(plugin, config.name, version, valid))
        except CniError as error:
            errors.append(error)
    return errors
