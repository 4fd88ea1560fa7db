"""One operation over the plugins of a network, in the specification's order (section 3); no disk, no locks, no undo.

ADD hands each plugin's result to the next and stops at the first failure, as CHECK and STATUS do. DEL runs backwards,
and like GC goes on to the end and returns every error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .attachment import Attachment
from .config import NetworkConfig
from .errors import CniError, IncompatibleVersion, InvalidNetworkConfig, PluginNotFound, UnknownContainer
from .plugins import Plugins
from .request import Key, for_attachment, for_gc, for_network
from .result import Result, parse
from .version import choose, listing, supports


@dataclass(frozen=True)
class Chain:
    """The plugins of `config`, called one after another through `plugins`."""

    plugins: Plugins
    config: NetworkConfig

    async def negotiate(self) -> str:
        """Return the highest version that the configuration offers and all its plugins speak.

        Plugins are asked only when the configuration leaves a choice. IncompatibleVersion tells who speaks what.
        """
        if len(self.config.versions) == 1:
            return self.config.cni_version
        spoken = {}
        for plugin in self.config.plugins:
            try:
                spoken[plugin.type] = await self.plugins.versions(plugin.type)
            except PluginNotFound:
                continue  # reported where the plugin is needed; a DEL must go on without it
        version = choose(self.config.versions, (speaks for speaks in spoken.values() if speaks))
        if version is None:
            raise IncompatibleVersion(
                f'network "{self.config.name}" offers {listing(self.config.versions)}, '
                "which its plugins do not all speak",
                details="; ".join(f"{kind}: {listing(sorted(speaks))}" for kind, speaks in spoken.items() if speaks),
            )
        return version

    async def fallback(self) -> str:
        """Return what `negotiate` does, or the highest version: cleaning up goes on when nothing fits."""
        try:
            return await self.negotiate()
        except IncompatibleVersion:
            return self.config.cni_version

    async def add(self, version: str, attachment: Attachment) -> Result:
        """Run ADD and return the last plugin's result. Raises the first failure; a result of no use is one."""
        result: Result | None = None
        for plugin in self.config.plugins:
            request = for_attachment(plugin, self.config.name, version, attachment, result)
            output = await self.plugins.call(plugin.type, "ADD", request, attachment)
            try:
                result = parse(output, version)
            except CniError as error:
                error.plugin, error.command = plugin.type, "ADD"
                raise
        if result is None:
            raise InvalidNetworkConfig(f'network "{self.config.name}" has no plugins')
        return result

    async def delete(
        self, version: str, attachment: Attachment, result: Result | None
    ) -> list[CniError]:
        """Run DEL, last plugin first, with the `result` of ADD if it is known, and return what failed."""
        previous = result if supports(version, "prevResult on DEL") else None
        errors: list[CniError] = []
        for plugin in reversed(self.config.plugins):
            try:
                request = for_attachment(plugin, self.config.name, version, attachment, previous)
                await self.plugins.call(plugin.type, "DEL", request, attachment)
            except UnknownContainer:
                continue  # the specification's word for "nothing to clean up here"
            except CniError as error:
                errors.append(error)
        return errors

    async def check(self, version: str, attachment: Attachment, result: Result) -> None:
        """Run CHECK against the `result` of ADD. Raises the first complaint."""
        for plugin in self.config.plugins:
            request = for_attachment(plugin, self.config.name, version, attachment, result)
            await self.plugins.call(plugin.type, "CHECK", request, attachment)

    async def status(self) -> None:
        """Raise why ADD cannot be served now: a missing program, versions that do not fit, a plugin's own STATUS."""
        for plugin in self.config.plugins:
            self.plugins.find(plugin.type)
        version = await self.negotiate()
        if not supports(version, "STATUS"):
            return
        for plugin in self.config.plugins:
            # A plugin that is too old takes STATUS for a broken ADD and complains of a missing container id.
            speaks = await self.plugins.versions(plugin.type)
            if speaks and version not in speaks:
                raise IncompatibleVersion(
                    f'speaks {listing(sorted(speaks))}; network "{self.config.name}" asks for "{version}"',
                    plugin=plugin.type,
                    command="STATUS",
                )
            await self.plugins.call(plugin.type, "STATUS", for_network(plugin, self.config.name, version))

    async def gc(self, valid: Iterable[Key]) -> list[CniError]:
        """Run GC where configuration and plugin have it; return what failed. `valid` are the attachments that stay."""
        version = await self.fallback()
        if self.config.disable_gc or not supports(version, "GC"):
            return []
        errors: list[CniError] = []
        for plugin in self.config.plugins:
            try:
                speaks = await self.plugins.versions(plugin.type)
                if not speaks or version in speaks:
                    await self.plugins.call(plugin.type, "GC", for_gc(plugin, self.config.name, version, valid))
            except CniError as error:
                errors.append(error)
        return errors
