"""The pod network (port `Network`): CNI over the stand-alone library, with this server's spawner.

The first network of the configuration directory counts, as everywhere in Kubernetes; where none is installed, the
embedded one. Attachments are cached on the persistent side, so that addresses are given back after a reboot too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import cni
from cni import Attachment as CniAttachment
from cni import CniError, Completed, NetworkConfig
from cni.config import parse_list
from criserver.drivers.network import args as network_args
from criserver.drivers.network import plugins as network_plugins
from criserver.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NetworkFailed, Unavailable
from criserver.kernel import process
from criserver.kernel.offload import offload
from criserver.model.sandbox import SandboxConfig
from criserver.observe.metrics import Metrics
from criserver.observe.timings import asking
from criserver.ports.network import Attachment, NetworkStatus

IFNAME = "eth0"
_TOLD = ("CNI_COMMAND", "CNI_NETNS", "CNI_IFNAME")
_NOT_READY = "NetworkPluginNotReady"


class CniNetwork:
    """The default CNI network of this node."""

    def __init__(
        self,
        *,
        conf_dir: str,
        bin_dirs: Sequence[str],
        cache_dir: str,
        fallback_conflist: str | None = None,
        plugin_timeout: float | None = None,
        metrics: Metrics,
    ) -> None:
        """Directories may come and go; `cache_dir` is this server's own. `fallback_conflist` is a conflist's text.

        `plugin_timeout` is in seconds, for one call of one plugin; the library's own limits without it. Raises
        CniError for a fallback that is not a conflist.
        """
        self._conf_dir = cni.ConfDir(conf_dir)
        self._metrics = metrics
        self._plugins = cni.Plugins(bin_dirs, execute=self._spawn, limits=_limits(plugin_timeout))
        self._cache = cni.Cache(cache_dir)
        self._gate = cni.Gate()
        self._fallback = parse_list(fallback_conflist.encode(), "embedded conflist") if fallback_conflist else None

    async def add(self, sandbox_id: str, config: SandboxConfig, netns: str) -> Attachment:
        """CNI ADD; NetworkFailed carries the plugin's words, and the ADD is undone then. The result is cached before.

        InvalidArgument for bandwidth annotations and port mappings that are none, Unavailable without any network.
        """
        try:
            capabilities = network_args.capabilities(config)
            attachment = CniAttachment(
                sandbox_id, netns, IFNAME, network_args.cni_args(sandbox_id, config), capabilities
            )
        except CniError as error:
            raise InvalidArgument(str(error)) from error
        try:
            network = self._network(await self._configured())
            with self._counted("ADD"):
                result = await network.add(attachment)
        except cni.NetworkNotFound as error:
            raise Unavailable(f"pod sandbox {sandbox_id} needs a network: {error}") from error
        except CniError as error:
            raise NetworkFailed(f"cannot attach pod sandbox {sandbox_id} to the network: {error}") from error
        return Attachment(network.config.name, tuple(str(ip.address.ip) for ip in result.ips))

    async def remove(self, sandbox_id: str, config: SandboxConfig, netns: str) -> None:
        """CNI DEL of whatever the cache remembers for the sandbox, also when `netns` is gone or was never made.

        NetworkFailed when a plugin refuses; what it refused stays cached, so that it can be tried again.
        """
        try:
            with self._counted("DEL"):
                await self._delete(sandbox_id, netns)
        except CniError as error:
            raise NetworkFailed(f"cannot detach pod sandbox {sandbox_id} from the network: {error}") from error

    async def status(self) -> NetworkStatus:
        """Whether a network is configured and its plugins would serve an ADD now."""
        try:
            await self._network(await self._configured()).status()
        except CniError as error:
            return NetworkStatus(False, _NOT_READY, f"network is not ready: {error}")
        return NetworkStatus(True)

    async def settle(self) -> None:
        """Wait until no plugin works any more that an earlier server has started; those that hang are killed."""
        cached = await offload(self._cache.attachments)
        await network_plugins.ended(entry.attachment.container_id for entry in cached)

    async def gc(self, alive: frozenset[str]) -> None:
        """DEL what is cached for sandboxes not in `alive`, in whatever network, then CNI GC of the current one.

        Goes on to the end; NetworkFailed carries all that failed.
        """
        errors: list[CniError] = []
        cached = await offload(self._cache.attachments)
        # Plugins may need the namespace, if it is still there, to find what is theirs: bridge its masquerading.
        garbage = {entry.attachment.container_id: entry.attachment.netns for entry in cached}
        for sandbox_id in sorted(garbage.keys() - alive):
            try:
                await self._delete(sandbox_id, garbage[sandbox_id])
            except CniError as error:
                errors.append(error)
        try:
            await self._network(await self._configured()).gc({(sandbox_id, IFNAME) for sandbox_id in alive})
        except cni.NetworkNotFound:
            pass  # Without a network there is no plugin to ask.
        except CniError as error:
            errors.append(error)
        if errors:
            raise NetworkFailed("cannot give back network resources: " + "; ".join(map(str, errors)))

    async def _delete(self, sandbox_id: str, netns: str) -> None:
        loaded = await offload(self._conf_dir.current)
        await cni.delete_all(
            sandbox_id, netns, networks=loaded.networks, plugins=self._plugins, cache=self._cache, gate=self._gate
        )

    async def _configured(self) -> NetworkConfig:
        """The network in use. CniError says why there is none."""
        loaded = await offload(self._conf_dir.current)
        # A broken file is somebody's wish for another network than the embedded one.
        installed = any(broken.path != loaded.path for broken in loaded.broken)
        if self._fallback and not loaded.networks and not installed:
            return self._fallback
        return loaded.network()

    async def _spawn(self, argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes, timeout: float) -> Completed:
        """Run a plugin, and count it."""
        began, done = time.monotonic(), None
        command, plugin = env.get("CNI_COMMAND", ""), os.path.basename(argv[0])
        call = " ".join([*(f"{name}={value}" for name, value in env.items() if name in _TOLD), *argv])
        try:
            with asking("cni", call, stdin.decode(errors="replace")) as answer:
                done = await spawn(argv, env=env, stdin=stdin, timeout=timeout)
                answer.text = done.stdout.decode(errors="replace")
        finally:
            failed = done is None or done.returncode != 0
            self._metrics.network.plugin_ended(command, plugin, time.monotonic() - began, failed=failed)
        return done

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        began, failed = time.monotonic(), True
        try:
            yield
            failed = False
        finally:
            self._metrics.network.ended(operation, time.monotonic() - began, failed=failed)

    def _network(self, config: NetworkConfig) -> cni.Network:
        return cni.Network(config, self._plugins, self._cache, self._gate)


def _limits(seconds: float | None) -> Mapping[str, float]:
    """Time limits by CNI command; questions that a Status waits for are never given more than the library gives."""
    if seconds is None:
        return cni.LIMITS
    questions = ("STATUS", "VERSION")
    return {name: min(seconds, usual) if name in questions else seconds for name, usual in cni.LIMITS.items()}


async def spawn(argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes, timeout: float) -> Completed:
    """Run a plugin as the library asks for it (`cni.Exec`), through this server's spawner."""
    try:
        done = await process.run(argv, env=env, stdin=stdin, timeout=timeout, cwd="/")
    except DeadlineExceeded:
        return Completed(-9, timed_out=True)
    except FailedPrecondition as error:
        # The library tells errors apart by errno: a program that is being replaced (ETXTBSY) is tried again.
        raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error)) from error
    return Completed(done.returncode, done.stdout, done.stderr, done.truncated)
