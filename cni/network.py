"""A network in use: ADD, DEL, CHECK, STATUS, GC and VERSION with what they must remember, exclude and undo.

What each operation promises when something fails: ADD undoes itself, DEL and GC go on to the end and keep every error,
CHECK and STATUS stop at the first. A cancelled operation kills the plugin at work; a cancelled ADD undoes itself first.
Killed at any instruction, this process leaves a cache file for whatever a plugin may have begun, which `gc` and
`delete` go by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from .aio import Gate, to_the_end
from .attachment import Attachment
from .cache import Cache, Cached
from .chain import Chain
from .config import NetworkConfig
from .errors import AlreadyAttached, CniError, InvalidParameter, IOFailure, NotAttached, raise_all
from .files import is_namespace
from .plugins import Plugins
from .request import Key
from .result import Result
from .version import supports

T = TypeVar("T")


class Network:
    """One network, ready to be used. All networks of a host share `plugins`, `cache` and `gate`.

    Every method raises CniError alone (and CancelledError).
    """

    def __init__(self, config: NetworkConfig, plugins: Plugins, cache: Cache, gate: Gate | None = None) -> None:
        self.config = config
        self._plugins = plugins
        self._cache = cache
        self._gate = gate or Gate()

    async def add(self, attachment: Attachment) -> Result:
        """Attach a container and return the last plugin's result, which is in the cache by then.

        On failure and on cancellation DEL is run for the whole chain before this ends (spec: "A delete must still be
        executed even if the add fails"); should that fail, the error carries it as `undo_error` and the cache keeps the
        attachment for `gc`.
        """
        async with self._gate.container(attachment.container_id):
            await _off_loop(self._refuse_second, attachment)
            for plugin in self.config.plugins:
                self._plugins.find(plugin.type)
            version = await Chain(self._plugins, self.config).negotiate()
            try:
                await _off_loop(self._cache.store, self.config, attachment, None)
                result = await Chain(self._plugins, self.config).add(version, attachment)
                await _off_loop(self._cache.store, self.config, attachment, result)
                return result
            except BaseException as error:
                await to_the_end(self._undo(attachment, error))
                raise

    async def delete(self, attachment: Attachment) -> None:
        """Detach a container: every plugin in reverse order, whatever the others said; again and again is fine.

        Configuration, CNI_ARGS, capability arguments and result are those remembered of ADD, if they are; the netns may
        be gone. While plugins fail the attachment stays remembered, so that the caller can try again.
        """
        async with self._gate.container(attachment.container_id):
            await self._delete(attachment)

    async def check(self, attachment: Attachment) -> bool:
        """Ask every plugin whether the attachment is as ADD left it; raise the first complaint.

        False means that nobody was asked: `disableCheck`, or a version before 0.4.0. Raises NotAttached without an ADD
        result.
        """
        async with self._gate.container(attachment.container_id):
            cached = await _off_loop(self._load, attachment)
            config = cached.config if cached and cached.config else self.config
            version = await Chain(self._plugins, config).negotiate()
            if config.disable_check or not supports(version, "CHECK"):
                return False
            if cached is None or cached.result is None:
                why = cached.problem if cached and cached.problem else "it was not attached, or is already detached"
                raise NotAttached(f'container {attachment.container_id} in network "{config.name}": {why}')
            same = replace(cached.attachment, netns=attachment.netns or cached.attachment.netns)
            await Chain(self._plugins, config).check(version, same, cached.result)
            return True

    async def status(self) -> None:
        """Raise why the network cannot serve ADD now.

        PluginNotAvailable and LimitedConnectivity are the plugins' own words. Before version 1.1.0 plugins cannot be
        asked: then only their programs must be there.
        """
        await Chain(self._plugins, self.config).status()

    async def gc(self, valid: Iterable[Key]) -> tuple[Key, ...]:
        """Remove what belongs to attachments that are not in `valid`, pairs of (container id, interface name).

        First DEL for those that the cache remembers, which are returned if it went well; then GC to plugins that know
        it, unless `disableGC`. Waits for all operations under way and holds up new ones.
        """
        keep = frozenset(valid)
        errors: list[CniError] = []
        deleted: list[Key] = []
        async with self._gate.collection():
            for cached in await _off_loop(lambda: self._cache.attachments(network=self.config.name)):
                key = (cached.attachment.container_id, cached.attachment.ifname)
                if key in keep:
                    continue
                try:
                    await self._delete(cached.attachment)
                    deleted.append(key)
                except CniError as error:
                    errors.append(error)
            errors += await Chain(self._plugins, self.config).gc(keep)
        raise_all(errors)
        return tuple(deleted)

    async def versions(self) -> dict[str, frozenset[str]]:
        """Return plugin type → versions that it speaks; an empty set when it cannot tell. Raises PluginNotFound."""
        return {plugin.type: await self._plugins.versions(plugin.type) for plugin in self.config.plugins}

    async def _delete(self, attachment: Attachment) -> None:
        cached = await _off_loop(self._load, attachment)
        config, known, result = self.config, attachment, None
        if cached and cached.config:
            config, known, result = cached.config, cached.attachment, cached.result
        # A netns that is gone must be the empty string: plugins fail on a path that leads to anything else.
        alive = attachment.netns if is_namespace(attachment.netns) else ""
        version = await Chain(self._plugins, config).fallback()
        raise_all(await Chain(self._plugins, config).delete(version, replace(known, netns=alive), result))
        await _off_loop(self._cache.remove, self.config.name, attachment.container_id, attachment.ifname)

    async def _undo(self, attachment: Attachment, error: BaseException) -> None:
        try:
            await self._delete(attachment)
        except CniError as again:
            if isinstance(error, CniError):
                error.undo_error = again
            else:
                error.add_note(f"undoing the ADD failed: {again}")

    def _load(self, attachment: Attachment) -> Cached | None:
        return self._cache.load(self.config.name, attachment.container_id, attachment.ifname)

    def _refuse_second(self, attachment: Attachment) -> None:
        """The undo of a second ADD would take the first one's interface away, so it must not even begin."""
        if not attachment.netns:
            raise InvalidParameter("ADD needs the path of a network namespace")
        for cached in self._cache.attachments(container_id=attachment.container_id):
            if cached.attachment.ifname == attachment.ifname and cached.result is not None:
                raise AlreadyAttached(
                    f"container {attachment.container_id} has {attachment.ifname} in network "
                    f'"{cached.network}"; delete that first'
                )


async def delete_all(
    container_id: str, netns: str, *, networks: Iterable[NetworkConfig], plugins: Plugins, cache: Cache, gate: Gate
) -> None:
    """Detach a container from every network that the cache remembers for it, also from ones no longer configured.

    `networks` are those configured now, for attachments whose cache file is broken. Goes on to the end; raises what
    failed.
    """
    now = {config.name: config for config in networks}
    errors: list[CniError] = []
    for cached in await _off_loop(lambda: cache.attachments(container_id=container_id)):
        config = cached.config or now.get(cached.network)
        try:
            if config is None:
                raise IOFailure(f'network "{cached.network}" is not configured and its cache broken: {cached.problem}')
            await Network(config, plugins, cache, gate).delete(replace(cached.attachment, netns=netns))
        except CniError as error:
            errors.append(error)
    await _off_loop(cache.drop_drafts, container_id)
    raise_all(errors)


async def _off_loop(work: Callable[..., T], *arguments: object) -> T:
    """Do file work in a thread, to its end: a rest of it behind a cancelled caller's back would race with the undo."""
    return await to_the_end(asyncio.to_thread(work, *arguments))
